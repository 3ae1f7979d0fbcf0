// Package appfacts reads what an app's folder says of itself, package.json, lock file, wrangler config and source, and fits
// the shipped pipeline to it. It only reads; nothing of the app is run.
package appfacts
