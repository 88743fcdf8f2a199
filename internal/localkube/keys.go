package localkube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"time"
)

// validity of certificates; a local cluster does not outlive it.
const validity = 10 * 365 * 24 * time.Hour

// Files of keys in a cluster's folder.
const (
	caFile         = "ca.crt"
	clientCAFile   = "client-ca.crt"
	servingCert    = "apiserver.crt"
	servingKey     = "apiserver.key"
	serviceAcctKey = "service-accounts.key"
)

// ensureKeys makes the cluster's keys once. The authority signs one certificate,
// and its key is thrown away.
func ensureKeys(cfg Config) error {
	// The file written last tells that all are there.
	if _, err := os.Stat(cfg.file(serviceAcctKey)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	caKey, caCert, err := authority(cfg.Name)
	if err != nil {
		return err
	}
	key, cert, err := serving(caKey, caCert)
	if err != nil {
		return err
	}
	saKey, err := newKey()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{
		{caFile, "CERTIFICATE", caCert.Raw},
		{servingCert, "CERTIFICATE", cert},
		{servingKey, "EC PRIVATE KEY", key},
		{serviceAcctKey, "EC PRIVATE KEY", saKey.der},
	} {
		if err := writeFile(cfg.file(f.name), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})); err != nil {
			return err
		}
	}
	return nil
}

type key struct {
	*ecdsa.PrivateKey
	der []byte
}

func newKey() (key, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return key{}, err
	}
	der, err := x509.MarshalECPrivateKey(k)
	return key{k, der}, err
}

func authority(name string) (key, *x509.Certificate, error) {
	k, err := newKey()
	if err != nil {
		return k, nil, err
	}
	template := certificate("localkube CA of " + name)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		return k, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return k, cert, err
}

func serving(caKey key, ca *x509.Certificate) (keyDER, certDER []byte, err error) {
	k, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	template := certificate("kube-apiserver")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, k.Public(), caKey)
	return k.der, der, err
}

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(validity),
	}
}
