package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meridian-federation/meridian/internal/buildinfo"
)

// localKubeconfig is where `meridian up` puts the kubeconfig of Global's API server.
const localKubeconfig = ".meridian/kubeconfigs/global.yaml"

// options are the flags that all commands have, and what surrounds them.
type options struct {
	env        Env
	kubeconfig string
	context    string
	namespace  string
	hub        string
	hubCAFile  string
}

func (o *options) addTo(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of Global's API server")
	flags.StringVar(&o.context, "context", "", "context of the kubeconfig to use")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "namespace; default: that of the context")
	flags.StringVar(&o.hub, "hub", "", "address at which Global answers questions; default: what Global wrote to its API server")
	flags.StringVar(&o.hubCAFile, "hub-ca-file", "", "roots of Global's identity, PEM; default: what Global wrote to its API server")
}

// client reads the kubeconfig as kubectl does.
func (o *options) client() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	if o.kubeconfig == "" && os.Getenv(clientcmd.RecommendedConfigPathEnvVar) == "" {
		// Last in the line: a kubeconfig of the user's own wins.
		rules.Precedence = append(rules.Precedence, filepath.FromSlash(localKubeconfig))
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.context}
	overrides.Context.Namespace = o.namespace
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}

// connect makes the clients of Global's API server; nothing is sent yet.
func (o *options) connect() (*server, error) {
	client := o.client()
	config, err := client.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	namespace, enforced, err := client.Namespace()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	// The server has fairness of its own; the client's default of 5 requests a second only makes people wait.
	config.QPS = -1
	config.UserAgent = "meridian/" + buildinfo.Read().Version
	config.WarningHandler = rest.NewWarningWriter(o.env.Err, rest.WarningWriterOptions{Deduplicate: true})
	return newServer(config, namespace, enforced)
}
