// Package run is how every binary starts and ends: Main turns signals into the end of a context and an error into one
// line on stderr and an exit code; a Group starts a binary's components in order and stops them in the opposite order,
// so that a server is gone before the store that it reads from.
//
// Every cmd may import run; it knows none of them.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/meridian-federation/meridian/internal/config"
)

// ErrTold is wrapped by an error that was told where it belongs, such as an answer of no: it decides the exit code, and
// no line is written about it.
var ErrTold = errors.New("told already")

// Exit codes.
const (
	exitError  = 1
	exitConfig = 2
)

// Main runs body and exits the process. The context ends with the first SIGINT or SIGTERM; the second kills the process
// as if nobody had listened. args are those of the command line, without the program's name.
func Main(name string, body func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := body(ctx, os.Args[1:])
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	stop()
	os.Exit(report(os.Stderr, name, err))
}

// report says in one line what went wrong, and returns the exit code.
func report(w io.Writer, name string, err error) int {
	if err == nil || errors.Is(err, config.ErrDone) {
		return 0
	}
	if errors.Is(err, ErrTold) {
		return exitError
	}
	line := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
	var ce *config.Error
	if errors.As(err, &ce) {
		fmt.Fprintf(w, "%s: %s (%s --help lists the settings)\n", name, line, name)
		return exitConfig
	}
	fmt.Fprintf(w, "%s: %s\n", name, line)
	return exitError
}
