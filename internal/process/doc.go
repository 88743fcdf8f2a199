// Package process runs programs that this machine's Meridian is made of: the
// parts of a local cluster and the tiers themselves.
//
// A Process is either owned, and dies with the program that started it however
// that ends (on Linux, even by SIGKILL), or detached, and outlives it with a log
// and a pid file. A pid file holds the number alone. Whether the process of that
// number is still the one that was started is told by a mark in its environment,
// so a stale file never leads to a signal for a stranger.
//
// The package knows no tier and no cluster; anything may import it.
package process
