package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Env is what surrounds a command.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	// Now is the clock by which ages are shown.
	Now func() time.Time
}

// New makes the root command. more are commands that need what this package does not know.
func New(env Env, more ...*cobra.Command) *cobra.Command {
	o := &options{env: env}
	root := &cobra.Command{
		Use:   "meridian",
		Short: "Submit applications to a Meridian federation, and see what becomes of them",
		Long: "meridian submits applications to a Meridian federation, and shows what becomes of them.\n\n" +
			"It finds Global's API server as kubectl does, by --kubeconfig, KUBECONFIG and --context. With none of them, and no\n" +
			"~/.kube/config, it uses the federation that `meridian up` runs below this directory.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	o.addTo(root.PersistentFlags())
	root.AddCommand(
		newApply(o), newGet(o), newDescribe(o), newDelete(o),
		newStatus(o), newTrace(o), newConfirm(o), newPolicy(o), newExport(o), newToken(o), newAuthority(o), newIPAM(o), newVerify(o), newVersion(o),
	)
	root.AddCommand(more...)
	return root
}

// Execute runs the command. An interruption is an error: what was asked for was not done.
func Execute(ctx context.Context, root *cobra.Command, args []string) error {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
