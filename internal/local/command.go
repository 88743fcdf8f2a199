package local

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/localkube"
)

// Commands are `meridian up`, `down` and `build`. They print to out.
func Commands(out io.Writer) []*cobra.Command {
	return []*cobra.Command{newUp(out), newDown(out), newBuild(out)}
}

func newUp(out io.Writer) *cobra.Command {
	o := Defaults()
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole Meridian on this machine: hub, regions, zones, and real clusters with simulated nodes",
		Long: "up builds all programs from this checkout, starts a hub, regions, zones, agents and real Kubernetes clusters with\n" +
			"simulated nodes, submits the sample applications, and ends when all have converged. Everything keeps running until\n" +
			"`meridian down`. Run again, it starts what does not run and keeps what does.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.find(); err != nil {
				return err
			}
			return Up(cmd.Context(), o, out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Dir, "data-dir", o.Dir, "folder for kubeconfigs, logs, data and pids")
	flags.IntVar(&o.Regions, "regions", o.Regions, "number of regions")
	flags.IntSliceVar(&o.ZonesPerRegion, "zones-per-region", o.ZonesPerRegion, "zones of the first region, the second, …; the last number stands for all further ones")
	flags.IntSliceVar(&o.ClustersPerZone, "clusters-per-zone", o.ClustersPerZone, "clusters of the first zone, the second, …; the last number stands for all further ones")
	flags.IntSliceVar(&o.ReplicasPerZone, "replicas-per-zone", o.ReplicasPerZone, "processes of the first zone, the second, …; the last number stands for all further ones")
	flags.IntVar(&o.Nodes, "nodes-per-cluster", o.Nodes, "simulated nodes in each cluster")
	flags.IntVar(&o.PortBase, "port-base", o.PortBase, "first of the ports to use")
	flags.BoolVar(&o.NoSamples, "no-samples", o.NoSamples, "do not submit the sample applications")
	flags.BoolVar(&o.AuditLog, "audit-log", o.AuditLog, "have every API server record the writes it gets")
	return cmd
}

func newDown(out io.Writer) *cobra.Command {
	o := Defaults()
	purge := false
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop what `meridian up` started",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.find(); err != nil {
				return err
			}
			return Down(cmd.Context(), o, purge, out)
		},
	}
	cmd.Flags().StringVar(&o.Dir, "data-dir", o.Dir, "the folder given to up")
	cmd.Flags().BoolVar(&purge, "purge", false, "remove the folder too")
	return cmd
}

func newBuild(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build what `meridian up` and the tests need, and start nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := Defaults()
			if err := o.find(); err != nil {
				return err
			}
			l, err := o.layout()
			if err != nil {
				return err
			}
			return build(cmd.Context(), l, progress(out, time.Now()))
		},
	}
}

// find sets the checkout that this folder is in.
func (o *Options) find() error {
	root, err := localkube.FindRoot("")
	if err != nil {
		return errors.Join(errors.New("programs are built from a checkout of Meridian; run this inside one"), err)
	}
	o.Root = root
	return nil
}

// progress prints lines with the time since begun.
func progress(out io.Writer, begun time.Time) func(string, ...any) {
	return func(format string, args ...any) {
		text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
		fmt.Fprintf(out, "%6.1fs  %s\n", time.Since(begun).Seconds(), text)
	}
}
