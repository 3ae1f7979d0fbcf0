// Package daemon runs the local Cloudflare as a background process: it starts one, finds the one that runs, and stops it.
//
// Only the command line imports it. There is one process per folder, held by a file lock that the kernel lets go when the
// process ends, however it ends. The process belongs to the run that started it until that run says Keep: it reads a pipe
// whose other end only the run holds, and goes away when that end closes without the word. So neither Ctrl-C nor kill -9
// of a run leaves a process behind.
//
//	Up     ──starts──▶ Serve (own session)      lease: stdin, a pipe; "keep" or end of file
//	       ◀─ready────                          report: stdout, one line of JSON, then closed
//	Status ──HTTP────▶ control (loopback)       GET /status, POST /stop, with the key from the state file
package daemon
