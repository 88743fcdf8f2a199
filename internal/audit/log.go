package audit

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/meridian-federation/meridian/internal/telemetry"
)

// message marks the events among the lines of the process' log.
const message = "audit"

// Config says where events go.
type Config struct {
	// Place is where the process stands, such as region/west; each event names it.
	Place string
	// File is written, and rotated at MaxSizeMB megabytes; MaxBackups old ones are kept beside it, named by their time.
	// With no File events go to Log, whatever its level.
	File       string
	MaxSizeMB  int
	MaxBackups int
	// Log is the process' log. It gets what cannot be written to File, too.
	Log *slog.Logger
	// Registry gets the counters of events.
	Registry prometheus.Registerer
}

// Log is where events are recorded. A nil Log is Discard.
type Log struct {
	handler slog.Handler
	log     *slog.Logger
	file    io.Closer
	bounds  bounds

	events   *prometheus.CounterVec
	failures prometheus.Counter
}

// Open opens the file, with access for its owner alone, so that one that cannot be written ends the start and not the
// first event.
func Open(cfg Config) (*Log, error) {
	if cfg.File == "" {
		return newLog(cfg, cfg.Log.Handler(), io.NopCloser(nil))
	}
	if err := prepare(cfg.File); err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", err)
	}
	file := &lumberjack.Logger{Filename: cfg.File, MaxSize: cfg.MaxSizeMB, MaxBackups: cfg.MaxBackups}
	return newLog(cfg, lines(file), file)
}

// To writes the events to w, for tests; see audittest.
func To(w io.Writer) *Log {
	l, err := newLog(Config{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()}, lines(w), io.NopCloser(nil))
	if err != nil {
		panic(err) // an empty registry takes everything
	}
	return l
}

// Close closes the file.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

func newLog(cfg Config, to slog.Handler, file io.Closer) (*Log, error) {
	if cfg.Place != "" {
		to = to.WithAttrs([]slog.Attr{slog.String("place", cfg.Place)})
	}
	l := &Log{
		handler: to,
		log:     cfg.Log,
		file:    file,
		bounds:  bounds{actions: map[Action]*bound{}},
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: telemetry.Namespace, Subsystem: "audit",
			Name: "events_total", Help: "Events of the audit log, those held back included."}, []string{"action", "result"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Namespace: telemetry.Namespace, Subsystem: "audit",
			Name: "write_failures_total", Help: "Events that could not be written to the audit log's file, and went to the process' log instead."}),
	}
	if err := errors.Join(cfg.Registry.Register(l.events), cfg.Registry.Register(l.failures)); err != nil {
		return nil, fmt.Errorf("registering the audit log's metrics: %w", err)
	}
	return l, nil
}

// lines writes JSON without what every event would have in common.
func lines(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}})
}

// prepare makes the file and its folder where they are missing, and takes from others what access they have.
func prepare(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}
