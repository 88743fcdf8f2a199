// Package telemetry is what every binary shows of itself: logs, metrics, health and profiles. Loggers, registries and
// health are made here once, by main, and passed in; nothing registers itself.
//
// Every cmd and tier may import telemetry; it knows none of them.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger writes text or JSON lines of at least level (debug, info, warn, error) to w.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: %w", level, err)
	}
	options := &slog.HandlerOptions{Level: least}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("log format %q is neither text nor json", format)
	}
}
