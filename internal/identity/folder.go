package identity

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The files of a process's folder. Each is written whole, beside its name, and then renamed, so that at any time one is
// the last that was complete; a key and the certificates for it are in one file, so that they never differ.
//
//	identity.pem   the key, its certificate and those above it, and the hash of the token that it was got with
//	roots.pem      the roots to believe; written before an identity.pem that needs them
//	pending.pem    the key of an enrolment under way: its answer may be lost, and the token is good for this key again
//	root-HEX.pem   at Global: a root and its key
//	adopted.pem    the root that was taken over last by identity.adoptPin
//	generations.pem  the highest generation that was met of each place
const (
	identityFile    = "identity.pem"
	rootsFile       = "roots.pem"
	pendingFile     = "pending.pem"
	rootFiles       = "root-"
	adoptedFile     = "adopted.pem"
	generationsFile = "generations.pem"
	unfinished      = ".new-"
)

// folder is where a process keeps its keys, for nobody else to read.
type folder struct{ dir string }

// openFolder makes it if it is missing, and removes what a process that died left half-written.
func openFolder(dir string) (folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return folder{}, fmt.Errorf("making the folder of the identity: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return folder{}, fmt.Errorf("closing the folder of the identity to others: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folder{}, fmt.Errorf("reading the folder of the identity: %w", err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), unfinished) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return folder{}, fmt.Errorf("removing what was not written to its end: %w", err)
			}
		}
	}
	return folder{dir: dir}, nil
}

// write replaces a file, so that it is there whole, with its content on the disk, or not at all.
func (f folder) write(name string, blocks ...*pem.Block) (err error) {
	file, err := os.CreateTemp(f.dir, name+unfinished+"*") // 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("writing %s: %w", name, err), os.Remove(file.Name()))
		}
	}()
	for _, b := range blocks {
		if err := pem.Encode(file, b); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(f.dir, name)); err != nil {
		return err
	}
	return f.sync()
}

// sync has the names on the disk, too.
func (f folder) sync() error {
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// read reads a file; without one all is empty.
func (f folder) read(name string) (held, error) {
	path := filepath.Join(f.dir, name)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return held{}, nil
	}
	if err != nil {
		return held{}, fmt.Errorf("reading the identity: %w", err)
	}
	h, err := parsePEM(content)
	if err != nil {
		return held{}, fmt.Errorf("reading %s: %w; it was damaged: remove it, and enrol anew with a token", path, err)
	}
	return h, nil
}

// enrolment is what a process got from its parent.
type enrolment struct {
	credential Credential
	// token is the SHA-256 of the token that it was got with.
	token []byte
}

// identity is what was got last, if anything, and the roots to believe.
func (f folder) identity() (e enrolment, roots []*x509.Certificate, ok bool, err error) {
	own, err := f.read(identityFile)
	if err != nil {
		return e, nil, false, err
	}
	believed, err := f.read(rootsFile)
	if err != nil {
		return e, nil, false, err
	}
	if own.key == nil || len(own.certs) == 0 {
		return e, believed.certs, false, nil
	}
	return enrolment{Credential{Key: own.key, Chain: own.certs}, own.token}, believed.certs, true, nil
}

// keep has an identity outlive the process.
func (f folder) keep(e enrolment, roots []*x509.Certificate) error {
	if err := f.keepRoots(roots); err != nil {
		return err
	}
	key, err := keyBlock(e.credential.Key)
	if err != nil {
		return err
	}
	blocks := append([]*pem.Block{key}, certBlocks(e.credential.Chain)...)
	return f.write(identityFile, append(blocks, &pem.Block{Type: pemToken, Bytes: e.token})...)
}

func (f folder) keepRoots(roots []*x509.Certificate) error {
	return f.write(rootsFile, certBlocks(roots)...)
}

// pending is the key of the enrolment under way.
func (f folder) pending() (crypto.Signer, error) {
	h, err := f.read(pendingFile)
	if err == nil && h.key != nil {
		return h.key, nil
	}
	// One that cannot be read was of no use yet.
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	block, err := keyBlock(key)
	if err != nil {
		return nil, err
	}
	return key, f.write(pendingFile, block)
}

// enrolled forgets the key of the enrolment, which is in the identity now.
func (f folder) enrolled() error {
	err := os.Remove(filepath.Join(f.dir, pendingFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the key of the enrolment: %w", err)
	}
	return nil
}

func (f folder) keepRoot(root Root) error {
	key, err := keyBlock(root.Key)
	if err != nil {
		return err
	}
	hash := KeyHash(root.Cert)
	return f.write(rootFiles+hex.EncodeToString(hash[:8])+".pem", append(certBlocks([]*x509.Certificate{root.Cert}), key)...)
}

// rootsHeld are the roots whose keys are here.
func (f folder) rootsHeld() ([]Root, error) {
	names, err := filepath.Glob(filepath.Join(f.dir, rootFiles+"*.pem"))
	if err != nil {
		return nil, fmt.Errorf("looking for roots: %w", err)
	}
	var roots []Root
	for _, name := range names {
		h, err := f.read(filepath.Base(name))
		if err != nil {
			return nil, err
		}
		if h.key == nil || len(h.certs) != 1 || !hasKey(h.certs[0], h.key) {
			return nil, fmt.Errorf("reading %s: it is not one root with its key", name)
		}
		roots = append(roots, Root{Cert: h.certs[0], Key: h.key})
	}
	return roots, nil
}

// tokenHash tells one token from another.
func tokenHash(text string) []byte {
	hash := sha256.Sum256([]byte(text))
	return hash[:]
}
