// Package e2e holds a whole Meridian to its promises: tests that run `meridian up`, and what it starts, on real API
// servers and real etcds.
//
// All tests share one run of two regions, three zones and four clusters, in a folder and at ports of its own. The first
// test that needs it starts it; a guard, a process of its own, ends it when the tests end, whatever ends them. Each test
// leaves the run converged and its own applications deleted, so that any of them can run alone:
//
//	go test ./e2e -run TestDrift
//
// With MERIDIAN_E2E_DIR=FOLDER the run in that folder is used, started if need be, and left running, which saves the
// start while one works on a test. With -short the package is skipped.
//
// Nothing imports it.
package e2e
