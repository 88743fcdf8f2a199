package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/cli/render"
	"github.com/meridian-federation/meridian/internal/question"
	"github.com/meridian-federation/meridian/internal/run"
)

func newPolicy(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Ask who may call whom",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newCanI(o))
	return cmd
}

// call is what the flags of can-i say of the call.
type call struct {
	port         int32
	method, path string
	at           string
}

func newCanI(o *options) *cobra.Command {
	a := &asking{options: o}
	c := &call{}
	cmd := &cobra.Command{
		Use:   "can-i CALLER PROVIDER",
		Short: "Tell whether one application may call another, and which rule decides",
		Long: "Tells whether one application may call another, each named NAMESPACE/APPLICATION, by the AccessPolicies in force, which\n" +
			"rule decides, and whether the caller declares the other as a dependency. Without a port, method or path it asks for any\n" +
			"call at all. It ends with exit code 0 for yes and 1 for no. With --at, a region or zone answers by its own records.",
		Example: "  meridian policy can-i shop/checkout payments/ledger --port 8080 --method POST\n" +
			"  meridian policy can-i shop/checkout payments/ledger --at region/west/zone/west-a",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return canI(cmd.Context(), a, c, args[0], args[1])
		},
	}
	a.addTo(cmd.Flags())
	flags := cmd.Flags()
	flags.Int32Var(&c.port, "port", 0, "port of the application called; default: any")
	flags.StringVar(&c.method, "method", "", "HTTP method; default: any")
	flags.StringVar(&c.path, "path", "", "path of the request; default: any")
	flags.StringVar(&c.at, "at", string(question.TierGlobal), "node that answers: global, region/REGION or region/REGION/zone/ZONE")
	return cmd
}

func canI(ctx context.Context, a *asking, c *call, caller, provider string) error {
	request, err := c.request(a, caller, provider)
	if err != nil {
		return err
	}
	top, err := a.ask(ctx, question.KindCanI, request)
	if err != nil {
		return err
	}
	verdict, err := verdictAt(top, request.Target)
	if err != nil {
		return err
	}
	if a.output != "" {
		err = write(a.env.Out, a.output, verdict)
	} else {
		err = render.Verdict(a.env.Out, verdict)
	}
	if err == nil && !verdict.Allowed {
		return fmt.Errorf("%s may not call %s: %w", caller, provider, run.ErrTold)
	}
	return err
}

func (c *call) request(a *asking, caller, provider string) (r question.CanIRequest, err error) {
	r = question.CanIRequest{Port: c.port, Method: strings.ToUpper(c.method), Path: c.path}
	if r.Caller, err = a.application(caller); err != nil {
		return r, err
	}
	if r.Provider, err = a.application(provider); err != nil {
		return r, err
	}
	if r.Target, err = question.ParsePath(c.at); err != nil {
		return r, err
	}
	return r, r.Validate()
}

// verdictAt is what the node asked for said, or why it said nothing.
func verdictAt(top *question.Node, target question.Path) (*question.Verdict, error) {
	// A node that did not answer has none below it.
	for _, above := range []question.Path{{Region: target.Region}, target} {
		if n := top.At(above); n != nil && n.Unanswered != "" {
			return nil, fmt.Errorf("%s: %s", above, n.Unanswered)
		}
	}
	n := top.At(target)
	switch {
	case n == nil || n.Verdict == nil:
		return nil, fmt.Errorf("%s did not answer", target)
	case n.Verdict.Unknown == "":
		return n.Verdict, nil
	case len(n.Verdict.KnownAt) == 0:
		return nil, fmt.Errorf("%s, nor by Global", n.Verdict.Unknown)
	}
	// What is known here may have come to be known since.
	others := slices.DeleteFunc(slices.Clone(n.Verdict.KnownAt), func(node string) bool { return node == target.String() })
	return nil, fmt.Errorf("%s; ask with --at one of: %s", n.Verdict.Unknown, strings.Join(others, ", "))
}
