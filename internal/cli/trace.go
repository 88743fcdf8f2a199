package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/question"
)

func newTrace(o *options) *cobra.Command {
	a := &asking{options: o}
	cmd := &cobra.Command{
		Use:   "trace NAMESPACE/APPLICATION",
		Short: "Show when each node had an application's current revision",
		Long: "Shows when Global accepted the current revision, when each region, zone and cluster had it, when it was applied and\n" +
			"when it was ready, as time since Global accepted it, with the time that each hop took.",
		Example: "  meridian trace shop/cart",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return trace(cmd.Context(), a, args[0])
		},
	}
	a.addTo(cmd.Flags())
	return cmd
}

func trace(ctx context.Context, a *asking, arg string) error {
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
	return render.Trace(a.env.Out, node)
}
