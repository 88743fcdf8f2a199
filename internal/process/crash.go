package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	tailLines = 12
	// tailBytes bounds how much of a log's end is read for a message.
	tailBytes = 16 << 10
)

// Crash is the end of a process that was not asked for.
type Crash struct {
	Name string
	Err  error  // how it ended
	Log  string // file
	Tail string // last lines it wrote, "" when unknown
}

func (c *Crash) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s ended unexpectedly (%v)", c.Name, c.Err)
	if c.Log != "" {
		fmt.Fprintf(&b, "; its log is %s", c.Log)
	}
	if c.Tail != "" {
		fmt.Fprintf(&b, "; last lines:\n%s", c.Tail)
	}
	return b.String()
}

func (c *Crash) Unwrap() error { return c.Err }

// AwaitReady calls probe until it returns nil. It ends early with a *Crash when
// the process ends, and with probe's last error and the log's name when ctx does.
func (p *Process) AwaitReady(ctx context.Context, probe func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		last := probe(ctx)
		if last == nil {
			return nil
		}
		if !p.Alive() {
			if err := p.crash(); err != nil {
				return err
			}
			return &Crash{Name: p.spec.Name, Log: p.spec.Log, Err: fmt.Errorf("exit status 0"), Tail: tailOf(p.spec.Log, p.logFrom)}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be ready: %w (%w); its log is %s", p.spec.Name, ctx.Err(), last, p.spec.Log)
		}
	}
}

// openLog also returns the size so far, where this run's lines begin.
func openLog(file string) (*os.File, int64, error) {
	if file == "" {
		f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		return f, 0, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// tailOf returns the last lines written after offset from; a log that cannot be
// read has none.
func tailOf(file string, from int64) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	from = max(from, info.Size()-tailBytes)
	b, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}
