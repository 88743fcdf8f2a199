package buildinfo

import (
	"runtime"
	"testing"
)

func TestRead(t *testing.T) {
	got := Read()
	if got.Version == "" || got.Go != runtime.Version() {
		t.Errorf("Read: got %+v, want a version and the Go toolchain's", got)
	}
}

func TestString(t *testing.T) {
	tests := []struct {
		info Info
		want string
	}{
		{Info{Version: "devel", Go: "go1.26"}, "devel, go1.26"},
		{Info{Version: "v0.1.0", Commit: "abc-dirty", Go: "go1.26"}, "v0.1.0 (abc-dirty), go1.26"},
	}
	for _, tt := range tests {
		if got := tt.info.String(); got != tt.want {
			t.Errorf("String: got %q, want %q", got, tt.want)
		}
	}
}
