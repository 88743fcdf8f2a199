package localkube_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/meridian-federation/meridian/internal/localkube"
)

func clientOf(t *testing.T, cfg *rest.Config) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: map[string]string{"k": name}}
}

func TestAPIOnly(t *testing.T) {
	c := localkube.ForTest(t, localkube.Config{APIOnly: true, AuditLog: true})
	maps := clientOf(t, c.RESTConfig()).CoreV1().ConfigMaps("default")

	if _, err := maps.Create(t.Context(), configMap("one"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := maps.Get(t.Context(), "one", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Data["k"] != "one" {
		t.Errorf("read back %q, want one", got.Data["k"])
	}
}
