package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/meridian-federation/meridian/internal/hubclient"
	"github.com/meridian-federation/meridian/internal/question"
)

// defaultPatience is how long a command waits for the tree's answer.
const defaultPatience = 10 * time.Second

// asking is what the commands that ask the tree share.
type asking struct {
	*options
	output  string
	timeout time.Duration
}

func (a *asking) addTo(flags *pflag.FlagSet) {
	flags.StringVarP(&a.output, "output", "o", "", "yaml or json")
	flags.DurationVar(&a.timeout, "timeout", defaultPatience, "how long to wait for the tree's answer")
}

// ask asks the hub and returns its answer.
func (a *asking) ask(ctx context.Context, kind string, request any) (*question.Node, error) {
	if !slices.Contains([]string{"", "yaml", "json"}, a.output) {
		return nil, fmt.Errorf("--output is %q, and can be yaml or json", a.output)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	s, err := a.connect()
	if err != nil {
		return nil, err
	}
	client, err := hubclient.Dial(ctx, s.config, hubclient.Options{Address: a.hub, CAFile: a.hubCAFile})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding the question: %w", err)
	}
	answer, err := client.Answer(ctx, kind, payload)
	if err != nil {
		return nil, err
	}
	node, err := question.Decode[question.Node](answer)
	if err != nil {
		return nil, fmt.Errorf("reading the hub's answer: %w", err)
	}
	return &node, nil
}

// application reads NAMESPACE/NAME, or NAME in the namespace of the flag or context.
func (a *asking) application(arg string) (question.ApplicationRequest, error) {
	namespace, name, ok := strings.Cut(arg, "/")
	if !ok {
		var err error
		name = arg
		if namespace, _, err = a.client().Namespace(); err != nil {
			return question.ApplicationRequest{}, fmt.Errorf("reading the kubeconfig: %w", err)
		}
	}
	if namespace == "" || name == "" || strings.Contains(name, "/") {
		return question.ApplicationRequest{}, fmt.Errorf("%q is not NAMESPACE/APPLICATION", arg)
	}
	return question.ApplicationRequest{Namespace: namespace, Name: name}, nil
}
