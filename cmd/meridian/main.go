// Command meridian submits applications to a Meridian federation and shows what becomes of them.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"k8s.io/klog/v2"

	"github.com/meridian-federation/meridian/internal/cli"
	"github.com/meridian-federation/meridian/internal/run"
)

func main() {
	// What client-go logs, the commands return as errors.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	run.Main("meridian", func(ctx context.Context, args []string) error {
		env := cli.Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Now: time.Now}
		return cli.Execute(ctx, cli.New(env, commands(env)...), args)
	})
}
