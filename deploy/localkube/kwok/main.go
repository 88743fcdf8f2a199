// Command kwok simulates the nodes and pods of a local cluster: it is
// sigs.k8s.io/kwok with its fast stages built in, by which a Node turns Ready
// and a scheduled Pod turns Running and Ready as soon as they are seen.
//
// It is a module of its own because kwok pins other Kubernetes versions than the
// control plane beside it.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		os.Exit(1)
	}
}

func run() error {
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}

	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := withStages(ctx, flags)
	if err != nil {
		return err
	}
	command := cmd.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(flags)
	return command.ExecuteContext(ctx)
}

// withStages loads the built-in stages. kwok takes configuration from files
// only, so they pass through one.
func withStages(ctx context.Context, flags *pflag.FlagSet) (context.Context, error) {
	dir, err := os.MkdirTemp("", "kwok-stages-")
	if err != nil {
		return nil, fmt.Errorf("loading stages: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "stages.yaml")
	stages := strings.Join([]string{
		nodefast.DefaultNodeInit,
		podfast.DefaultPodReady,
		podfast.DefaultPodComplete,
		podfast.DefaultPodDelete,
	}, "\n---\n")
	if err := os.WriteFile(file, []byte(stages), 0o600); err != nil {
		return nil, fmt.Errorf("loading stages: %w", err)
	}
	os.Args = append(os.Args, "--config="+file)
	ctx, err = config.InitFlags(ctx, flags)
	if err != nil {
		return nil, fmt.Errorf("loading stages: %w", err)
	}
	return ctx, nil
}
