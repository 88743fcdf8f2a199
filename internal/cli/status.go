package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/question"
)

func newStatus(o *options) *cobra.Command {
	a := &asking{options: o}
	cmd := &cobra.Command{
		Use:   "status [NAMESPACE/APPLICATION]",
		Short: "Show an application, or the federation itself, as a tree",
		Long: "Shows how far an application is at each node of the tree: Global, regions, zones, clusters. Without an application\n" +
			"it shows the tree itself: sessions, what a node refuses and which removals it holds back.",
		Example: "  meridian status\n  meridian status shop/cart -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return overview(cmd.Context(), a)
			}
			return status(cmd.Context(), a, args[0])
		},
	}
	a.addTo(cmd.Flags())
	return cmd
}

func overview(ctx context.Context, a *asking) error {
	node, err := a.ask(ctx, question.KindOverview, question.OverviewRequest{})
	if err != nil {
		return err
	}
	if a.output != "" {
		return write(a.env.Out, a.output, node)
	}
	return render.Overview(a.env.Out, node, a.env.Now())
}

func status(ctx context.Context, a *asking, arg string) error {
	request, err := a.application(arg)
	if err != nil {
		return err
	}
	node, err := a.ask(ctx, question.KindApplication, request)
	if err != nil {
		return err
	}
	if a.output != "" {
		return write(a.env.Out, a.output, node)
	}
	return render.Status(a.env.Out, node, a.env.Now())
}
