package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// runAPIServer runs kube-apiserver over an etcd of its own, started before it
// and closed after it in the same process, which serves it alone. Given --etcd-servers it starts none.
func runAPIServer() int {
	cmd := apiserver.NewAPIServerCommand()
	var cfg etcdConfig
	own := pflag.NewFlagSet("embedded etcd", pflag.ContinueOnError)
	cfg.addFlags(own)
	cmd.Flags().AddFlagSet(own)

	// The component's help lists the flag sets that it made itself.
	help := cmd.HelpFunc()
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		help(cmd, args)
		fmt.Fprintf(cmd.OutOrStdout(), "\nEmbedded etcd flags:\n\n%s", own.FlagUsages())
	})

	serve := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("etcd-servers") {
			return serve(cmd, args)
		}
		var err error
		if cfg.keys, err = ownEtcdKeys(cfg.dir); err != nil {
			return err
		}
		db, err := startEtcd(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer db.Close()
		for name, value := range map[string]string{"etcd-servers": db.endpoint(), "etcd-cafile": cfg.keys.ca,
			"etcd-certfile": cfg.keys.cert, "etcd-keyfile": cfg.keys.key} {
			if err := cmd.Flags().Set(name, value); err != nil {
				return fmt.Errorf("pointing the API server at its etcd: %w", err)
			}
		}
		return serve(cmd, args)
	}
	return cli.Run(cmd)
}
