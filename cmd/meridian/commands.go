package main

import (
	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli"
	"github.com/meridian-federation/meridian/internal/local"
)

// commands are those that package cli does not have: they start processes instead of asking one.
func commands(env cli.Env) []*cobra.Command { return local.Commands(env.Out) }
