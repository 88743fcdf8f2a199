package asker

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/grpc/peer"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/api/v1alpha1"
	"github.com/meridian-federation/meridian/internal/origin"
	"github.com/meridian-federation/meridian/internal/question"
)

const (
	// remembered is how long an answer of the API server's counts, and rememberedMost how many of each kind are kept.
	remembered     = 10 * time.Second
	rememberedMost = 4096
	// tokensAtOnce and rightsAtOnce bound the reviews under way. Anybody who reaches Global can cause one of a token, and only
	// those who are known one of a right.
	tokensAtOnce = 32
	rightsAtOnce = 64
	reviewTime   = 10 * time.Second
	// guessesAtOnce tokens that nobody has, or of which that is not known yet, may come from one address, and then one in each
	// guessEvery.
	guessesAtOnce = 64
	guessEvery    = time.Second
	// maxToken is the longest token that is looked at, in bytes: those of service accounts and of OIDC are some KiB.
	maxToken = 8 << 10
)

// User is who asks, as the API server knows him.
type User struct {
	Name, UID string
	Groups    []string
	Extra     map[string][]string
}

// Right is one that RBAC at the hub gives or does not give, in group meridian.dev.
type Right struct {
	Verb, Resource, Subresource, Namespace, Name string
}

// String is the right as people read it: get applications.meridian.dev cart in namespace shop.
func (r Right) String() string {
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	text := fmt.Sprintf("%s %s.%s", r.Verb, resource, v1alpha1.GroupVersion.Group)
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Namespace != "" {
		text += " in namespace " + r.Namespace
	}
	return text
}

// Desk asks the hub's API server about those who ask.
type Desk struct {
	kube   kubernetes.Interface
	people clientCA
	// users are by the hash of their token, as are tokens that nobody has (strangers); verdicts are by the review's text.
	users, strangers, verdicts *cache.LRUExpireCache
	// guesses are the tokens that nobody has, of each address.
	guesses        *origin.Budget
	tokens, rights slots
}

// slots bound what is under way.
type slots chan struct{}

// New makes a desk at the API server that holds the resources.
func New(hub *rest.Config) (*Desk, error) {
	kube, err := kubernetes.NewForConfig(hub)
	if err != nil {
		return nil, fmt.Errorf("making the client that asks about people: %w", err)
	}
	return &Desk{kube: kube, people: clientCA{read: clientCAOf(kube)}, users: cache.NewLRUExpireCache(rememberedMost),
		strangers: cache.NewLRUExpireCache(rememberedMost), verdicts: cache.NewLRUExpireCache(rememberedMost),
		guesses: origin.NewBudget(guessesAtOnce, guessEvery),
		tokens:  make(slots, tokensAtOnce), rights: make(slots, rightsAtOnce)}, nil
}

// enter waits for a slot, and bounds what is done in it.
func (s slots) enter(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTime)
	select {
	case s <- struct{}{}:
		return ctx, func() { <-s; cancel() }, nil
	case <-ctx.Done():
		cancel()
		return nil, nil, fmt.Errorf("%w: too many people are asking", question.ErrUnavailable)
	}
}

var (
	errNobodys = fmt.Errorf("%w: the hub's API server does not know the bearer token", question.ErrUnauthenticated)
	errTooLong = fmt.Errorf("%w: the bearer token is longer than %d bytes", question.ErrUnauthenticated, maxToken)
	errGuesses = fmt.Errorf("%w: too many bearer tokens that the hub's API server does not know came from this address; ask again in %s",
		question.ErrUnavailable, guessEvery)
)

// whose finds out whose token it is. An address from which come many that nobody has is not listened to for a while, but for
// tokens that are known by then.
func (d *Desk) whose(ctx context.Context, token string) (User, error) {
	if len(token) > maxToken {
		return User{}, errTooLong
	}
	key := sha256.Sum256([]byte(token))
	if known, ok := d.users.Get(key); ok {
		return known.(User), nil
	}
	if _, ok := d.strangers.Get(key); ok {
		return User{}, errNobodys
	}
	from := originOf(ctx)
	if !d.guesses.Spend(from, time.Now()) {
		return User{}, errGuesses
	}
	user, err := d.review(ctx, token)
	switch {
	case err == nil:
		d.users.Add(key, user, remembered)
	case errors.Is(err, question.ErrUnauthenticated):
		d.strangers.Add(key, nil, remembered)
		return User{}, err
	}
	d.guesses.Refund(from, time.Now())
	return user, err
}

// originOf is where a call comes from.
func originOf(ctx context.Context) netip.Prefix {
	if p, ok := peer.FromContext(ctx); ok {
		return origin.Of(p.Addr)
	}
	return origin.Of(nil)
}

// review asks the API server whose token it is.
func (d *Desk) review(ctx context.Context, token string) (User, error) {
	ctx, leave, err := d.tokens.enter(ctx)
	if err != nil {
		return User{}, err
	}
	defer leave()
	answer, err := d.kube.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return User{}, fmt.Errorf("%w: asking the hub's API server whose token it is: %w", question.ErrUnavailable, err)
	}
	if !answer.Status.Authenticated {
		return User{}, errNobodys
	}
	user := User{Name: answer.Status.User.Username, UID: answer.Status.User.UID, Groups: answer.Status.User.Groups,
		Extra: map[string][]string{}}
	for name, values := range answer.Status.User.Extra {
		user.Extra[name] = values
	}
	return user, nil
}

// May tells, with nil, that the user has the right.
func (d *Desk) May(ctx context.Context, user User, right Right) error {
	spec := authorizationv1.SubjectAccessReviewSpec{User: user.Name, UID: user.UID, Groups: user.Groups,
		Extra: map[string]authorizationv1.ExtraValue{},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Group: v1alpha1.GroupVersion.Group, Verb: right.Verb,
			Resource: right.Resource, Subresource: right.Subresource, Namespace: right.Namespace, Name: right.Name}}
	for name, values := range user.Extra {
		spec.Extra[name] = values
	}
	allowed, err := d.allowed(ctx, spec)
	if err != nil {
		return fmt.Errorf("%w: asking the hub's API server what %s may do: %w", question.ErrUnavailable, user.Name, err)
	}
	if !allowed {
		return fmt.Errorf("%w: user %s may not %s; a role at Global's API server can allow it", question.ErrForbidden,
			strings.TrimSpace(user.Name), right)
	}
	return nil
}

func (d *Desk) allowed(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return false, err
	}
	key := string(text)
	if known, ok := d.verdicts.Get(key); ok {
		return known.(bool), nil
	}
	ctx, leave, err := d.rights.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	answer, err := d.kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec},
		metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	allowed := answer.Status.Allowed && !answer.Status.Denied
	d.verdicts.Add(key, allowed, remembered)
	return allowed, nil
}
