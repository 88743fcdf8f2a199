package cli

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/question"
)

func newToken(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the tokens with which regions, zones and clusters enrol",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newTokenCreate(o), newTokenList(o), newTokenRevoke(o))
	return cmd
}

// enrolment is what the flags of token create say.
type enrolment struct {
	target           question.Path
	ttl              time.Duration
	uses             int32
	replace, replica bool
	// global says that no place below Global was forgotten.
	global bool
}

func newTokenCreate(o *options) *cobra.Command {
	a := &asking{options: o}
	e := &enrolment{}
	cmd := &cobra.Command{
		Use:   "create --region REGION [--zone ZONE [--cluster CLUSTER]] | --global",
		Short: "Make a token with which a region, a zone, a cluster's agent or a further Global gets its first certificate",
		Long: "Makes a token with which a newcomer gets its first certificate, and writes it once, with the pin by which the newcomer\n" +
			"knows its parent. A place that is enrolled already needs --replace, which has all its earlier certificates refused and\n" +
			"all that was signed by them, or --replica, for one more process of it. With --global they are for Global: --replace has the\n" +
			"certificates of all its processes refused but of the one that has the root, and what they signed for places below stays\n" +
			"until `meridian authority rotate`.",
		Example: "  meridian token create --region west --zone west-a --cluster a1\n" +
			"  meridian token create --region west --zone west-a --uses 3 --ttl 30m\n" +
			"  meridian token create --global --replica",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return tokenCreate(cmd.Context(), a, e) },
	}
	a.addTo(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&e.target.Region, "region", "", "region to enrol, or of what is enrolled")
	flags.StringVar(&e.target.Zone, "zone", "", "zone to enrol, or of the cluster that is")
	flags.StringVar(&e.target.Cluster, "cluster", "", "cluster whose agent is to enrol")
	flags.BoolVar(&e.global, "global", false, "enrol a process of Global, with --replica or --replace")
	flags.DurationVar(&e.ttl, "ttl", time.Hour, "how long the token counts")
	flags.Int32Var(&e.uses, "uses", 1, "how many processes may enrol with it")
	flags.BoolVar(&e.replace, "replace", false, "refuse all earlier certificates of the place once the token is used")
	flags.BoolVar(&e.replica, "replica", false, "enrol one more process of the place")
	return cmd
}

// request checks what the flags say.
func (e *enrolment) request() (question.TokenRequest, error) {
	r := question.TokenRequest{Target: e.target, TTLSeconds: int64(e.ttl / time.Second), Uses: e.uses}
	switch {
	case e.replace && e.replica:
		return r, errors.New("--replace and --replica exclude each other")
	case e.global && e.target != question.Path{}:
		return r, errors.New("--global excludes --region, --zone and --cluster")
	case e.replace && !e.global && e.target == question.Path{}:
		return r, errors.New("--replace needs the place: say --region, and --zone and --cluster where they are meant, or --global")
	case e.target.Cluster != "" && e.target.Zone == "":
		return r, errors.New("--cluster goes with --zone: a cluster is in a zone")
	case e.target.Zone != "" && e.target.Region == "":
		return r, errors.New("--zone goes with --region: a zone is in a region")
	case e.replace:
		r.Mode = question.TokenReplace
	case e.replica:
		r.Mode = question.TokenReplica
	}
	return r, r.Validate()
}

func tokenCreate(ctx context.Context, a *asking, e *enrolment) error {
	request, err := e.request()
	if err != nil {
		return err
	}
	node, err := a.ask(ctx, question.KindTokenCreate, request)
	if err != nil {
		return err
	}
	if node.Issued == nil {
		return errors.New("no token is in the answer of Global")
	}
	if a.output != "" {
		return write(a.env.Out, a.output, node.Issued)
	}
	return render.Issued(a.env.Out, node.Issued, a.env.Now())
}

func newTokenList(o *options) *cobra.Command {
	a := &asking{options: o}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tokens that are out",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := a.ask(cmd.Context(), question.KindTokenList, question.TokenListRequest{})
			if err != nil {
				return err
			}
			if a.output != "" {
				return write(a.env.Out, a.output, node.Tokens)
			}
			return render.Tokens(a.env.Out, node, a.env.Now())
		},
	}
	a.addTo(cmd.Flags())
	return cmd
}

func newTokenRevoke(o *options) *cobra.Command {
	a := &asking{options: o}
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Refuse a token from now on; what was enrolled with it stays",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			node, err := a.ask(cmd.Context(), question.KindTokenRevoke, question.TokenRevokeRequest{ID: args[0]})
			if err != nil {
				return err
			}
			if a.output != "" {
				return write(a.env.Out, a.output, node)
			}
			return render.Confirm(a.env.Out, node, question.Path{}, cmp.Or(args[0], "token"))
		},
	}
	a.addTo(cmd.Flags())
	return cmd
}
