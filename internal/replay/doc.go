// Package replay keeps what gates were asked, so that a changed gate or limit can be asked the same again. It keeps
// reports and logs without secrets, by their content, bounded in age and size; never the source, a secret or a version.
package replay
