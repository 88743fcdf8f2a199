package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/ipam"
)

// allocation is one run of allocate.
type allocation struct {
	*options
	spec    v1alpha1.IPClaimSpec
	purpose string
	family  string
	length  int32
	output  string
	timeout time.Duration
}

func newIPAMAllocate(o *options) *cobra.Command {
	a := &allocation{options: o}
	cmd := &cobra.Command{
		Use:   "allocate NAME --pool POOL | --purpose PURPOSE",
		Short: "Take an address or a prefix, by an IPClaim",
		Long: "Makes an IPClaim and waits until it has its address, which is then printed. A claim that is refused stays, and is met\n" +
			"as soon as it can be; `meridian ipam release` takes it back. Running it again with the same NAME gives the same address.",
		Example: "  meridian ipam allocate dns --pool services -n shop\n" +
			"  meridian ipam allocate lab --purpose Node --network net-a --length 28 --zone west-a",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&a.spec.Pool, "pool", "", "IPPool to take it from")
	flags.StringVar(&a.purpose, "purpose", "", "Service, Pod, Node or LoadBalancer: take it from any pool of that purpose")
	flags.StringVar(&a.spec.Network, "network", "", "with --purpose: Network that the pool must be for")
	flags.StringVar(&a.family, "family", "", "with --purpose: IPv4 or IPv6")
	flags.Int32Var(&a.length, "length", 0, "length of the prefix; default: the pool's")
	flags.StringVar(&a.spec.Prefix, "prefix", "", "the very address or prefix")
	flags.StringVar(&a.spec.Zone, "zone", "", "Zone that is to give it; default: Global does")
	flags.StringVarP(&a.output, "output", "o", "", "yaml or json: the whole IPClaim; default: what it was given")
	flags.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for it")
	return cmd
}

func (a *allocation) run(ctx context.Context, name string) error {
	switch {
	case !slices.Contains([]string{"", "yaml", "json"}, a.output):
		return fmt.Errorf("--output is %q, and can be yaml or json", a.output)
	case (a.spec.Pool == "") == (a.purpose == ""):
		return errors.New("say --pool or --purpose, one of the two")
	}
	a.spec.Purpose, a.spec.Family = v1alpha1.IPPurpose(a.purpose), v1alpha1.IPFamily(a.family)
	if a.length != 0 {
		a.spec.Length = &a.length
	}
	s, err := a.connect()
	if err != nil {
		return err
	}
	claims := s.claims(s.namespace)
	if err := a.create(ctx, claims, s.namespace, name); err != nil {
		return err
	}
	claim, err := a.settled(ctx, claims, name)
	if err != nil {
		return err
	}
	if a.output != "" {
		return a.print(ctx, claims, name)
	}
	_, err = fmt.Fprintln(a.env.Out, cmp.Or(claim.Status.Address, claim.Status.Prefix))
	return err
}

func (s *server) claims(namespace string) dynamic.ResourceInterface {
	return s.dynamic.Resource(v1alpha1.GroupVersion.WithResource("ipclaims")).Namespace(namespace)
}

// create makes the claim. One that is there already, and asks for the same, is as good.
func (a *allocation) create(ctx context.Context, claims dynamic.ResourceInterface, namespace, name string) error {
	claim := v1alpha1.IPClaim{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "IPClaim"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: a.spec}
	object, err := unstructuredOf(&claim)
	if err != nil {
		return err
	}
	_, err = claims.Create(ctx, object, metav1.CreateOptions{FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	there, err := claims.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if is := there.Object["spec"]; !equality.Semantic.DeepEqual(object.Object["spec"], is) {
		return fmt.Errorf("IPClaim %s/%s is there already and asks for something else: %v; release it first, or take another name", namespace, name, is)
	}
	return nil
}

// unstructuredOf is an object as the dynamic client takes it, with no status.
func unstructuredOf(object runtime.Object) (*unstructured.Unstructured, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("encoding an object: %w", err)
	}
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}, nil
}

// settled waits until the claim has what it asks for, or is refused.
func (a *allocation) settled(ctx context.Context, claims dynamic.ResourceInterface, name string) (*v1alpha1.IPClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	w := &waiting{name: name, why: "nothing was said of it yet"}
	err := w.follow(ctx, claims)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("IPClaim %s has nothing after %s: %s", name, a.timeout, w.why)
	}
	return &w.claim, err
}

// waiting follows a claim.
type waiting struct {
	name  string
	claim v1alpha1.IPClaim
	// why it waits, as its status says.
	why string
}

// follow returns when the claim has what it asks for; an error is that it is refused, gone, or ctx has ended.
func (w *waiting) follow(ctx context.Context, claims dynamic.ResourceInterface) error {
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", w.name).String()}
	for {
		list, err := claims.List(ctx, options)
		switch {
		case err != nil:
			return err
		case len(list.Items) == 0:
			return w.gone()
		}
		if done, err := w.look(&list.Items[0]); done || err != nil {
			return err
		}
		since := options
		since.ResourceVersion = list.GetResourceVersion()
		changes, err := claims.Watch(ctx, since)
		if err != nil {
			return err
		}
		if done, err := w.watch(changes); done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// watch looks at each change; done is false if the watch ended before the claim had anything.
func (w *waiting) watch(changes watch.Interface) (done bool, err error) {
	defer changes.Stop()
	for change := range changes.ResultChan() {
		object, ok := change.Object.(*unstructured.Unstructured)
		switch {
		case !ok || change.Type == watch.Error:
			return false, nil
		case change.Type == watch.Deleted:
			return false, w.gone()
		}
		if done, err := w.look(object); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

func (w *waiting) gone() error {
	return fmt.Errorf("IPClaim %s was deleted while it was waited for", w.name)
}

func (w *waiting) look(object *unstructured.Unstructured) (done bool, err error) {
	w.claim = v1alpha1.IPClaim{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &w.claim); err != nil {
		return false, fmt.Errorf("reading IPClaim %s: %w", w.name, err)
	}
	done, why, err := outcome(&w.claim)
	if why != "" {
		w.why = why
	}
	return done, err
}

// outcome tells whether a claim has what it asks for, or else why it waits; an error is that it is refused.
func outcome(claim *v1alpha1.IPClaim) (done bool, waits string, err error) {
	c := meta.FindStatusCondition(claim.Status.Conditions, v1alpha1.ConditionAllocated)
	switch {
	case c == nil:
		return false, "", nil
	case c.Status == metav1.ConditionTrue:
		return true, "", nil
	case c.Reason == v1alpha1.ReasonPending || c.Reason == ipam.ReasonWaiting:
		return false, c.Reason + ": " + c.Message, nil
	default:
		return false, "", fmt.Errorf("IPClaim %s/%s is refused: %s: %s", claim.Namespace, claim.Name, c.Reason, c.Message)
	}
}

func (a *allocation) print(ctx context.Context, claims dynamic.ResourceInterface, name string) error {
	object, err := claims.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	object.SetManagedFields(nil)
	return write(a.env.Out, a.output, object)
}

func newIPAMRelease(o *options) *cobra.Command {
	d := &deletion{options: o, wait: true}
	cmd := &cobra.Command{
		Use:   "release NAME...",
		Short: "Give back what IPClaims have, by deleting them",
		Long: "Deletes IPClaims. Nobody else gets what they had before the quarantine of its pool is over: `meridian ipam find` tells\n" +
			"until when that is.",
		Example: "  meridian ipam release dns -n shop",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.run(cmd.Context(), append([]string{"ipclaims.meridian.dev"}, args...))
		},
	}
	cmd.Flags().BoolVar(&d.ignore, "ignore-not-found", false, "what does not exist is as good as released")
	cmd.Flags().DurationVar(&d.timeout, "timeout", 30*time.Second, "how long to wait until they are gone")
	return cmd
}
