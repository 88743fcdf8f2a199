package main

import (
	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli"
)

// commands are those that package cli does not have.
func commands(cli.Env) []*cobra.Command {
	return nil
}
