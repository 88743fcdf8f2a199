package global

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/question"
)

// again is how long Global waits after its address could not be written.
const again = 5 * time.Second

// keepAdvertised tells people where questions are answered, and whom to take for Global, until ctx ends: anew whenever the
// roots change.
func (g *Global) keepAdvertised(ctx context.Context) error {
	for ctx.Err() == nil {
		changed := g.deps.Identity.Changed()
		var retry <-chan time.Time
		if err := g.identity.await(ctx); err != nil { // nothing is written to a stranger
			return nil
		}
		if err := g.advertise(ctx); err != nil && ctx.Err() == nil {
			g.log.Warn("advertising Global at the hub", "error", err, "again", again)
			retry = time.After(again)
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-retry:
		}
	}
	return nil
}

// advertise writes a ConfigMap at the hub, where it differs.
func (g *Global) advertise(ctx context.Context) error {
	roots := g.deps.Identity.Roots()
	configMaps := g.client.core.ConfigMaps(question.HubNamespace)
	want := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: question.HubNamespace, Name: question.HubConfigMap},
		Data: map[string]string{question.HubAddressKey: g.cfg.advertised(), question.HubCAKey: rootsPEM(roots),
			question.HubTrustDomainKey: g.deps.Identity.TrustDomain().Name()}}
	have, err := configMaps.Get(ctx, want.Name, metav1.GetOptions{})
	switch {
	case err == nil && maps.Equal(have.Data, want.Data):
	case err == nil:
		_, err = configMaps.Update(ctx, want, metav1.UpdateOptions{})
	case apierrors.IsNotFound(err):
		err = g.create(ctx, want)
	}
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s: %w", want.Name, err)
	}
	g.told.Store(&roots)
	return nil
}

// create makes the ConfigMap, and its namespace only where there is none: it comes with Global's role, which may not make any.
func (g *Global) create(ctx context.Context, want *corev1.ConfigMap) error {
	core := g.client.core
	_, err := core.ConfigMaps(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
	if !apierrors.IsNotFound(err) {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: want.Namespace}}
	if _, err := core.Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making namespace %s: %w", ns.Name, err)
	}
	_, err = core.ConfigMaps(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
	return err
}
