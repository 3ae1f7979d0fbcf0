// Package pipelines is the model of one app's delivery, the pipelines that Penstock ships, and their adjustment by
// penstock.yaml.
//
// A [Pipeline] is data: it is made once (shipped pipeline, fitted to an [App], adjusted by YAML), validated as a whole,
// and then only read. Nothing here runs anything.
package pipelines
