// Package dagger runs stages as containers on a Dagger engine.
//
// A stage becomes a container of its image with its inputs, the outputs of the stages that it needs (which stay in the
// engine), volumes for tool caches, and secrets as secret variables. The same code serves both doors: `penstock deploy
// --executor dagger`, which starts a session of its own, and the functions of the module in ci/, whose runtime is in a
// session already; see https://docs.dagger.io.
//
// What is kept lies in the engine: its cache answers for a stage whose container is the same. Three things that the
// engine would see otherwise than Penstock are put right here:
//
//   - A stage that fails is a result, and the container around it succeeds, so that its reports can be had. The engine
//     keeps such a result like any other; a failed one is recognised and run again under another number (see [chain]).
//   - Whether a result is new is known by a word that every session gives to its containers as a secret, which the engine
//     leaves out of its keys: a result that holds another session's word came from the cache.
//   - The engine hands out a command's output when it has ended. Lines are read from the session's log stream as they
//     come, and from the result what the stream did not bring.
//
// A container cannot be asked to stop: when the run is stopped, the engine kills it.
package dagger
