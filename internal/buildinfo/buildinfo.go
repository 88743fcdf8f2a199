// Package buildinfo tells which build a binary is, from what the Go toolchain recorded in it. Every package may import
// it; it imports none.
package buildinfo

import (
	"runtime"
	"runtime/debug"
)

// Info is one build.
type Info struct {
	// Version of the module: a release, a pseudo-version, or "devel" for a build that recorded none.
	Version string `json:"version"`
	// Commit is the hash of the commit, with "-dirty" for a changed tree; empty if unknown.
	Commit string `json:"commit,omitempty"`
	Go     string `json:"go"`
}

// Read returns the build of this process.
func Read() Info {
	info := Info{Version: "devel", Go: runtime.Version()}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	if v := build.Main.Version; v != "" && v != "(devel)" {
		info.Version = v
	}
	dirty := ""
	for _, s := range build.Settings {
		switch {
		case s.Key == "vcs.revision":
			info.Commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if info.Commit != "" {
		info.Commit += dirty
	}
	return info
}

// String is the build in one line.
func (i Info) String() string {
	s := i.Version
	if i.Commit != "" {
		s += " (" + i.Commit + ")"
	}
	return s + ", " + i.Go
}
