package main

import (
	"errors"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
)

const none = "NOASSERTION"

// document lists the binary, its own module, the modules that are linked into it, and Go's standard library.
func document(name, sum string, info *debug.BuildInfo) (*spdx.Document, error) {
	created, revision, err := commit(info)
	if err != nil {
		return nil, err
	}
	binary := module("binary", name, info.Main.Version, "pkg:golang/"+info.Path+"@"+info.Main.Version)
	binary.PrimaryPackagePurpose, binary.PackageFileName = "APPLICATION", name
	binary.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: sum}}
	binary.PackageSourceInfo = "commit " + revision
	doc := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: name,
		DocumentNamespace: "https://" + info.Path + "/spdx/" + sum,
		CreationInfo:      &spdx.CreationInfo{Created: created, Creators: []common.Creator{{CreatorType: "Tool", Creator: "meridian-sbom"}}},
		Packages:          []*spdx.Package{binary},
		Relationships:     []*spdx.Relationship{relationship("DOCUMENT", common.TypeRelationshipDescribe, "binary")},
	}
	add := func(p *spdx.Package) {
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, relationship("binary", common.TypeRelationshipDependsOn, p.PackageSPDXIdentifier))
	}
	add(module("stdlib", "stdlib", info.GoVersion, "pkg:golang/stdlib@"+info.GoVersion))
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		p := module("go-"+dep.Path+"-"+dep.Version, dep.Path, dep.Version, "pkg:golang/"+dep.Path+"@"+dep.Version)
		if dep.Sum != "" {
			p.PackageComment = "go.sum has " + dep.Sum
		}
		add(p)
	}
	return doc, nil
}

// commit gives the time, which stands for that of the build, and the hash of what was built.
func commit(info *debug.BuildInfo) (created, revision string, err error) {
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.time":
			created = s.Value
		case "vcs.revision":
			revision = s.Value
		}
	}
	at, err := time.Parse(time.RFC3339, created)
	if err != nil || revision == "" {
		return "", "", errors.New("it does not record its commit; build it with -buildvcs=true")
	}
	return at.UTC().Format("2006-01-02T15:04:05Z"), revision, nil
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func module(id, name, version, purl string) *spdx.Package {
	return &spdx.Package{
		PackageSPDXIdentifier: common.ElementID(notInID.ReplaceAllString(id, "-")),
		PackageName:           name, PackageVersion: version,
		PackageDownloadLocation: none, PackageLicenseConcluded: none, PackageLicenseDeclared: none, PackageCopyrightText: none,
		IsFilesAnalyzedTagPresent: true,
		PackageExternalReferences: []*spdx.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: purl}},
	}
}

func relationship(from common.ElementID, kind string, to common.ElementID) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.DocElementID{ElementRefID: from}, RefB: common.DocElementID{ElementRefID: to}, Relationship: kind}
}
