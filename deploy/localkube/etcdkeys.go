package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/client/pkg/v3/transport"
)

// validity of keys that are made anew at each start.
const validity = 10 * 365 * 24 * time.Hour

// etcdKeys are PEM files: what etcd shows, and whose clients it serves.
type etcdKeys struct{ cert, key, ca string }

func (k *etcdKeys) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&k.cert, "etcd-cert-file", "", "File of etcd's certificate.")
	fs.StringVar(&k.key, "etcd-key-file", "", "File of its key.")
	fs.StringVar(&k.ca, "etcd-trusted-ca-file", "", "File of the authorities whose clients are served.")
}

func (k etcdKeys) validate() error {
	if k.cert == "" || k.key == "" || k.ca == "" {
		return errors.New("--etcd-cert-file, --etcd-key-file and --etcd-trusted-ca-file are required: without them anybody on this machine could read and write")
	}
	return nil
}

// tls serves only clients that show a certificate.
func (k etcdKeys) tls() transport.TLSInfo {
	return transport.TLSInfo{CertFile: k.cert, KeyFile: k.key, TrustedCAFile: k.ca, ClientCertAuth: true}
}

// ownEtcdKeys makes one certificate in dir that server, client and authority are, since both ends are this process.
func ownEtcdKeys(dir string) (etcdKeys, error) {
	keys := etcdKeys{cert: filepath.Join(dir, "etcd.crt"), key: filepath.Join(dir, "etcd.key"), ca: filepath.Join(dir, "etcd.crt")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keys, fmt.Errorf("making etcd's key: %w", err)
	}
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localkube"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(validity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return keys, fmt.Errorf("making etcd's certificate: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keys, fmt.Errorf("encoding etcd's key: %w", err)
	}
	return keys, errors.Join(os.MkdirAll(dir, 0o700),
		os.WriteFile(keys.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600),
		os.WriteFile(keys.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
}
