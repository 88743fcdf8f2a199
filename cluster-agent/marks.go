package clusteragent

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// seed makes footprints comparable within this process, which is as long as they are kept.
var seed = maphash.MakeSeed()

// builtin are the field managers whose writes beside Meridian's are the ordinary life of an object.
var builtin = []string{"kube-controller-manager", "kube-scheduler", "kubelet", handoverManager}

// sighting is what is remembered of an object as the API server last showed it.
type sighting struct {
	uid             types.UID
	resourceVersion string
	version         record.Version // by its annotation; zero if there is none that can be read
	application     string         // by its label
	// footprint stands for the fields that Meridian owns in the object. It changes when anybody takes one of them, or
	// removes it, and only then: others' fields do not count.
	footprint uint64
	label     bool // has Meridian's label
	self      bool // its annotation names the object itself
	manager   bool // Meridian has applied it
	deleting  bool
	// released: Meridian let go of it and may take it back.
	released bool
	// disturbed: another than the cluster's own controllers wrote to it since Meridian did, or in the same second.
	disturbed bool
	// shared: another than the cluster's own controllers has written to it, ever.
	shared bool
	// replicas: Meridian owns the replicas of a Deployment.
	replicas bool
}

// look reads a sighting of the object that has this id.
func look(id object.ID, obj metav1.Object) *sighting {
	annotations := obj.GetAnnotations()
	s := &sighting{
		uid:             obj.GetUID(),
		resourceVersion: obj.GetResourceVersion(),
		label:           obj.GetLabels()[object.LabelManaged] == object.ManagedValue,
		application:     obj.GetLabels()[object.LabelApplication],
		self:            annotations[object.AnnotationSelf] == id.String(),
		deleting:        obj.GetDeletionTimestamp() != nil,
	}
	if v, err := record.ParseVersion(annotations[object.AnnotationVersion]); err == nil {
		s.version = v
	}
	s.lookAtManagers(obj.GetManagedFields())
	s.replicas = s.replicas && id.Group == appsv1.GroupName && id.Kind == "Deployment"
	s.released = s.manager && annotations[annotationReleased] == "true"
	return s
}

func (s *sighting) lookAtManagers(entries []metav1.ManagedFieldsEntry) {
	var since metav1.Time
	for _, e := range entries {
		if isMeridian(e) {
			s.manager = true
			s.footprint = footprint(e)
			s.replicas = e.FieldsV1 != nil && bytes.Contains(e.FieldsV1.GetRawBytes(), []byte(`"f:replicas":`))
			if e.Time != nil {
				since = *e.Time
			}
		}
	}
	for _, e := range entries {
		if isMeridian(e) || e.Subresource != "" || slices.Contains(builtin, e.Manager) {
			continue
		}
		s.shared = true
		if e.Time == nil || !e.Time.Before(&since) {
			s.disturbed = true
		}
	}
}

func isMeridian(e metav1.ManagedFieldsEntry) bool {
	return e.Manager == object.FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
}

// footprint includes the time of the entry, so that somebody who applies under Meridian's name is seen as well.
func footprint(e metav1.ManagedFieldsEntry) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	if e.FieldsV1 != nil {
		h.Write(e.FieldsV1.GetRawBytes())
	}
	if e.Time != nil {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(e.Time.Unix())))
	}
	return h.Sum64()
}

// ours needs all three marks. It allows deletion.
func (s *sighting) ours() bool { return s.label && s.self && s.manager }

// recognised does without the label, which is what may have been lost; neither of the other two is ever copied to
// another object together. It allows applying, which puts the label back.
func (s *sighting) recognised() bool { return s.self && s.manager }

// after tells whether the sighting is of a later state than o. Resource versions grow within one resource (KEP-5504).
func (s *sighting) after(o *sighting) bool {
	if s.resourceVersion == o.resourceVersion {
		return false
	}
	c, err := resourceversion.CompareResourceVersion(s.resourceVersion, o.resourceVersion)
	return err != nil || c > 0
}
