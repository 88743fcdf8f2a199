package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meridian-federation/meridian/internal/question"
)

// asking is what the commands that ask the tree share.
type asking struct {
	*options
	output  string
	timeout time.Duration
}

func (a *asking) addTo(flags *pflag.FlagSet) {
	flags.StringVarP(&a.output, "output", "o", "", "yaml or json")
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long to wait for the tree's answer")
}

// ask asks the hub and returns its answer.
func (a *asking) ask(ctx context.Context, kind string, request any) (*question.Node, error) {
	if !slices.Contains([]string{"", "yaml", "json"}, a.output) {
		return nil, fmt.Errorf("--output is %q, and can be yaml or json", a.output)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	address, err := a.hubAddress(ctx)
	if err != nil {
		return nil, err
	}
	client, err := question.Dial(address, insecure.NewCredentials())
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

// hubAddress is the flag's, or what Global wrote beside its resources.
func (a *asking) hubAddress(ctx context.Context) (string, error) {
	if a.hub != "" {
		return a.hub, nil
	}
	s, err := a.connect()
	if err != nil {
		return "", err
	}
	where := question.HubNamespace + "/" + question.HubConfigMap
	configMap, err := s.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace(question.HubNamespace).
		Get(ctx, question.HubConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("there is no ConfigMap %s at %s: Global has not run there yet; or give its address with --hub", where, s.config.Host)
	}
	if err != nil {
		return "", fmt.Errorf("looking for the hub's address in ConfigMap %s: %w", where, err)
	}
	address, _, _ := unstructured.NestedString(configMap.Object, "data", question.HubAddressKey)
	if address == "" {
		return "", fmt.Errorf("the ConfigMap %s has no %s; give it with --hub", where, question.HubAddressKey)
	}
	return address, nil
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
