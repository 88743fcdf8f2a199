package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/question"
)

func newAuthority(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "authority",
		Short: "Show the certificates of the federation's processes, and replace the root above them",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newAuthorityStatus(o), newAuthorityRotate(o))
	return cmd
}

func newAuthorityStatus(o *options) *cobra.Command {
	a := &asking{options: o}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show each node's root, and when its certificates end",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := a.ask(cmd.Context(), question.KindOverview, question.OverviewRequest{})
			if err != nil {
				return err
			}
			if a.output != "" {
				return write(a.env.Out, a.output, node)
			}
			return render.Authority(a.env.Out, node, a.env.Now())
		},
	}
	a.addTo(cmd.Flags())
	return cmd
}

func newAuthorityRotate(o *options) *cobra.Command {
	a := &asking{options: o}
	var force bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the root of all certificates, under load",
		Long: "Replaces the root of all certificates while everything runs: a new root is told to all nodes; when all believe it, it\n" +
			"signs; when no node's certificate is under the old one any more, that is dropped. The command waits for the nodes and\n" +
			"says for which. Run it again after it was interrupted: it goes on where it was. With --force it does not wait: nodes\n" +
			"that are left behind are refused and must be enrolled anew.",
		Example: "  meridian authority rotate",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return rotate(cmd.Context(), a, question.RotateRequest{Begin: true, Force: force})
		},
	}
	a.addTo(cmd.Flags())
	cmd.Flags().BoolVar(&force, "force", false, "do not wait for nodes that do not answer or have not followed")
	return cmd
}

// askAgain is how long rotate pauses before it looks again whether the nodes have followed.
const askAgain = time.Second

// rotate takes the rotation step by step to its end.
func rotate(ctx context.Context, a *asking, request question.RotateRequest) error {
	said := ""
	for {
		node, err := a.ask(ctx, question.KindRotate, request)
		switch {
		case err != nil && request.Begin:
			return err
		case err != nil:
			return fmt.Errorf("the rotation is not at its end; run the command again to go on: %w", err)
		case node.Rotation == nil:
			return errors.New("no rotation is in the answer of Global")
		}
		if text := render.Rotation(node.Rotation); text != said && a.output == "" {
			fmt.Fprint(a.env.Out, text)
			said = text
		}
		switch node.Rotation.Phase {
		case question.RotationDone, question.RotationIdle: // idle: another caller has taken the last step
			if a.output != "" {
				return write(a.env.Out, a.output, node.Rotation)
			}
			return nil
		}
		request.Begin = false
		if node.Rotation.Left == 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
}
