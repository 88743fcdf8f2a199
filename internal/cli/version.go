package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/meridian-federation/meridian/internal/buildinfo"
)

func newVersion(o *options) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this command",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "" {
				return write(o.env.Out, output, buildinfo.Read())
			}
			_, err := fmt.Fprintf(o.env.Out, "meridian %s\n", buildinfo.Read())
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "yaml or json")
	return cmd
}
