package main

import (
	"context"
	"testing"
)

type endingServer struct {
	done   chan struct{}
	closed bool
}

func (s *endingServer) Done() <-chan struct{} { return s.done }

func (s *endingServer) Close() error {
	s.closed = true
	return nil
}

func TestServerThatEndsByItself(t *testing.T) {
	for name, c := range map[string]struct{ told, ended, wrong bool }{
		"told to end":     {true, false, false},
		"ended by itself": {false, true, true},
		"both":            {true, true, false},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		s := &endingServer{done: make(chan struct{})}
		if c.told {
			cancel()
		}
		if c.ended {
			close(s.done)
		}
		if err := closeWith(ctx, s); (err != nil) != c.wrong || !s.closed {
			t.Errorf("%s: got %v, closed %t; want an error: %t, and it closed", name, err, s.closed, c.wrong)
		}
		cancel()
	}
}
