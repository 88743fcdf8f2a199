package global

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meridian-federation/meridian/internal/question"
)

// advertise tells the CLI, by a ConfigMap at the hub, where questions are answered. It writes only what differs.
func (g *Global) advertise(ctx context.Context) error {
	maps := g.client.core.ConfigMaps(question.HubNamespace)
	want := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: question.HubNamespace, Name: question.HubConfigMap},
		Data: map[string]string{question.HubAddressKey: g.cfg.advertised()}}
	have, err := maps.Get(ctx, want.Name, metav1.GetOptions{})
	switch {
	case err == nil && have.Data[question.HubAddressKey] == g.cfg.advertised():
		return nil
	case err == nil:
		_, err = maps.Update(ctx, want, metav1.UpdateOptions{})
	case apierrors.IsNotFound(err):
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: question.HubNamespace}}
		if _, err := g.client.core.Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making namespace %s at the hub: %w", ns.Name, err)
		}
		_, err = maps.Create(ctx, want, metav1.CreateOptions{})
	}
	if err != nil {
		return fmt.Errorf("advertising Global's address at the hub: %w", err)
	}
	return nil
}
