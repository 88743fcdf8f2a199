package question

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

type answerFunc func(kind string, payload []byte) ([]byte, error)

func (f answerFunc) Answer(_ context.Context, kind string, payload []byte) ([]byte, error) {
	return f(kind, payload)
}

func TestHub(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	Serve(server, answerFunc(func(kind string, payload []byte) ([]byte, error) {
		switch kind {
		case "echo":
			return payload, nil
		case "absent":
			return nil, fmt.Errorf("application shop/cart: %w", ErrNotFound)
		case "odd":
			return nil, fmt.Errorf("%w: kind odd", ErrInvalid)
		case "unknown asker":
			return nil, fmt.Errorf("%w: no token", ErrUnauthenticated)
		case "barred":
			return nil, fmt.Errorf("%w: ann may not", ErrForbidden)
		case "following":
			return nil, fmt.Errorf("%w: ask another", ErrUnavailable)
		default:
			return nil, errors.New("broken")
		}
	}))
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	client, err := Dial(listener.Addr().String(), insecure.NewCredentials())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	tests := []struct {
		kind    string
		answer  string
		is      error
		message string
	}{
		{kind: "echo", answer: "hello"},
		{kind: "absent", is: ErrNotFound, message: "application shop/cart: not found"},
		{kind: "odd", is: ErrInvalid, message: "kind odd"},
		{kind: "unknown asker", is: ErrUnauthenticated, message: "no token"},
		{kind: "barred", is: ErrForbidden, message: "ann may not"},
		{kind: "following", is: ErrUnavailable, message: "ask another"},
		{kind: "other", message: "broken"},
	}
	for _, tt := range tests {
		t.Run(tt.kind, func(t *testing.T) {
			got, err := client.Answer(t.Context(), tt.kind, []byte("hello"))
			if tt.message == "" && (err != nil || string(got) != tt.answer) {
				t.Errorf("got %q, %v; want %q", got, err, tt.answer)
			}
			if tt.message != "" && (err == nil || err.Error() != tt.message || tt.is != nil && !errors.Is(err, tt.is)) {
				t.Errorf("got %v, want %q", err, tt.message)
			}
		})
	}
	server.Stop()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := client.Answer(t.Context(), "echo", nil); err == nil || !strings.Contains(err.Error(), "no hub answers at "+listener.Addr().String()) {
		t.Errorf("hub gone: got %v, want it to name the address", err)
	}
}
