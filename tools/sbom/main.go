// Command sbom writes, beside each Go binary in a folder, the list of what it is made of: NAME.spdx.json, in SPDX 2.3.
//
// All comes from what the Go toolchain recorded in the binary, so that the list is that of the binary and not of a
// go.mod, which also names what only tests use; the same binary gives the same list.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("want one argument, the folder of the binaries")
	}
	entries, err := os.ReadDir(args[0])
	if err != nil {
		return err
	}
	written := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		if err := write(filepath.Join(args[0], e.Name())); err != nil {
			return fmt.Errorf("listing what %s is made of: %w", e.Name(), err)
		}
		written++
	}
	if written == 0 {
		return fmt.Errorf("no binary in %s", args[0])
	}
	return nil
}

const suffix = ".spdx.json"

func write(binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	doc, err := document(filepath.Base(binary), hex.EncodeToString(sum[:]), info)
	if err != nil {
		return err
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		return err
	}
	out, err := os.Create(binary + suffix)
	if err != nil {
		return err
	}
	if err := errors.Join(json.Write(doc, out, json.Indent("  ")), out.Close()); err != nil {
		return err
	}
	fmt.Printf("%s: %d modules\n", binary+suffix, len(info.Deps))
	return nil
}
