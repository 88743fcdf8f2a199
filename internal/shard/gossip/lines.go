package gossip

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

// loudPerSecond and loudBurst bound the warnings and errors of memberlist's that are logged: it writes some for every
// packet.
const loudPerSecond, loudBurst = 1, 20

// lines logs memberlist's lines. What memberlist calls an error it tries again, so it is a warning here; an error is what
// only a person can mend.
type lines struct {
	log *slog.Logger

	mu      sync.Mutex // guards all below
	limit   *rate.Limiter
	dropped int
}

func newLines(log *slog.Logger) *lines {
	return &lines{log: log, limit: rate.NewLimiter(loudPerSecond, loudBurst)}
}

// levels are memberlist's prefixes.
var levels = map[string]slog.Level{
	"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn, "ERR": slog.LevelWarn,
}

// grave are the lines that a person has to know of, by what they contain, and what they mean.
var grave = []struct{ part, meaning string }{
	{"unacceptable label", "refused gossip of another zone; check the addresses to join"},
	{"no installed keys could decrypt", "refused gossip that the keys do not decrypt; check that all replicas have them"},
	{"Decrypt packet failed", "refused gossip that the keys do not decrypt; check that all replicas have them"},
	{"ncryption is", "refused gossip because one side encrypts and the other does not; check the keys"},
}

// Write takes one line: [LEVEL] memberlist: text.
func (l *lines) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level, message := slog.LevelWarn, "memberlist"
	if name, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "] "); ok {
		if known, ok := levels[name]; ok {
			level, text = known, strings.TrimPrefix(rest, "memberlist: ")
		}
	}
	if strings.HasPrefix(text, "Conflicting address") {
		return len(line), nil // members tells of it
	}
	if strings.Contains(text, net.ErrClosed.Error()) {
		level = slog.LevelDebug // this member has ended
	}
	if level == slog.LevelWarn {
		for _, g := range grave {
			if strings.Contains(text, g.part) {
				level, message = slog.LevelError, g.meaning
			}
		}
	}
	attrs := []any{"detail", text}
	if level >= slog.LevelWarn {
		dropped, ok := l.allow()
		if !ok {
			return len(line), nil
		}
		if dropped > 0 {
			attrs = append(attrs, "dropped", dropped)
		}
	}
	l.log.Log(context.Background(), level, message, attrs...)
	return len(line), nil
}

// allow tells whether another loud line is due, and how many were dropped since the last.
func (l *lines) allow() (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limit.Allow() {
		l.dropped++
		return 0, false
	}
	dropped, l.dropped = l.dropped, 0
	return dropped, true
}
