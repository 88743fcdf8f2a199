package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
	"github.com/meridian-federation/meridian/internal/verify"
)

// verification is one run of the command.
type verification struct {
	*asking
	kubeconfigs map[string]string
	admins      []string
	inventoried []v1alpha1.Cluster
	report      verify.Report
}

func newVerify(o *options) *cobra.Command {
	v := &verification{asking: &asking{options: o}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that the federation is as secure as it should be",
		Long: "Goes through the checklist of docs/security.md: every hop mutual TLS, the age of certificates and tokens, mTLS STRICT\n" +
			"and no allow-all policy wherever Meridian runs something, and a default Sidecar, all by what the hub answers and what is\n" +
			"compiled for the clusters. Given a cluster's kubeconfig it looks at what the cluster has, and at the rights of its agent;\n" +
			"given an admin address, at what a stranger is shown there. It fails if anything critical is found.",
		Example: "  meridian verify\n" +
			"  meridian verify --cluster-kubeconfig west-a-1=west-a-1.yaml --admin 10.0.0.7:7421 -o json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return v.run(cmd.Context()) },
	}
	v.addTo(cmd.Flags())
	cmd.Flags().StringToStringVar(&v.kubeconfigs, "cluster-kubeconfig", nil, "CLUSTER=FILE, an administrator's kubeconfig; may be repeated")
	cmd.Flags().StringSliceVar(&v.admins, "admin", nil, "HOST:PORT of a process' health and metrics; may be repeated")
	return cmd
}

func (v *verification) run(ctx context.Context) error {
	top, err := v.ask(ctx, question.KindOverview, question.OverviewRequest{})
	if err != nil {
		return err
	}
	v.report.Tree(top, v.env.Now())
	v.tokens(ctx)
	if err := v.meshes(ctx); err != nil {
		return err
	}
	if err := v.clusters(ctx); err != nil {
		return err
	}
	v.visit(ctx)
	v.report.Finish()
	if err := v.write(); err != nil {
		return err
	}
	if n := v.report.Count(verify.Critical); n > 0 {
		return fmt.Errorf("%d critical findings: %w", n, run.ErrTold)
	}
	return nil
}

func (v *verification) write() error {
	if v.output != "" {
		return write(v.env.Out, v.output, &v.report)
	}
	return render.Report(v.env.Out, &v.report)
}

func (v *verification) tokens(ctx context.Context) {
	top, err := v.ask(ctx, question.KindTokenList, question.TokenListRequest{})
	if err != nil {
		v.report.Skip(verify.CheckToken, "tokens", err.Error())
		return
	}
	v.report.Tokens(top.Tokens, v.env.Now())
	if top.Omitted != "" {
		v.report.Skip(verify.CheckToken, "tokens", top.Omitted)
	}
}

// clusters looks at the clusters themselves, as far as there are kubeconfigs.
func (v *verification) clusters(ctx context.Context) error {
	if len(v.kubeconfigs) == 0 {
		v.report.Unasked(verify.CheckRole, "give --cluster-kubeconfig CLUSTER=FILE to have it examined")
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(v.kubeconfigs)) {
		live, err := dialCluster(name, v.kubeconfigs[name])
		if err != nil {
			return err
		}
		if err := v.live(ctx, live); err != nil {
			return fmt.Errorf("looking at cluster %s: %w", name, err)
		}
	}
	return nil
}
