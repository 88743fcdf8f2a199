package localkube

import (
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// RESTConfig is the administrator's, without client-side rate limits.
func (c *Cluster) RESTConfig() *rest.Config {
	return c.restConfig(c.state.Tokens[AdminUser])
}

// UserRESTConfig is that of one of the cluster's users.
func (c *Cluster) UserRESTConfig(user string) (*rest.Config, error) {
	token, err := c.token(user)
	if err != nil {
		return nil, err
	}
	return c.restConfig(token), nil
}

func (c *Cluster) restConfig(token string) *rest.Config {
	return &rest.Config{
		Host:            c.server(),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: c.ca},
		QPS:             -1,
	}
}

// Kubeconfig is the file with which an administrator logs in.
func (c *Cluster) Kubeconfig() string { return c.cfg.Kubeconfig }

// WriteKubeconfig writes a file with which user logs in.
func (c *Cluster) WriteKubeconfig(user, file string) error {
	token, err := c.token(user)
	if err != nil {
		return err
	}
	name := c.cfg.Name
	b, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: c.server(), CertificateAuthorityData: c.ca}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: {Token: token}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: user}},
		CurrentContext: name,
	})
	if err != nil {
		return fmt.Errorf("writing kubeconfig of %s: %w", user, err)
	}
	if err := writeFile(file, b); err != nil {
		return fmt.Errorf("writing kubeconfig of %s: %w", user, err)
	}
	return nil
}

func (c *Cluster) token(user string) (string, error) {
	token, ok := c.state.Tokens[user]
	if !ok {
		return "", fmt.Errorf("cluster %s has no user %q", c.cfg.Name, user)
	}
	return token, nil
}

func (c *Cluster) server() string { return fmt.Sprintf("https://127.0.0.1:%d", c.state.Port) }

func (c *Cluster) readCA() (err error) {
	c.ca, err = os.ReadFile(c.cfg.file(caFile))
	return err
}
