package e2e

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestChildrenGoOnWithoutParents takes Global and a region away, and restarts what is below while they are away.
func TestChildrenGoOnWithoutParents(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "outage")
	web := appSpec{namespace: "outage", name: "web", mode: "Duplicated"}
	f.submit(t, web.manifest())
	f.ready(t, "outage", "web")
	before, since := f.inventory(t), f.mark(t)

	f.kill(t, "global")
	f.kill(t, "region-west")
	f.driftIsPutBack(t, westA1, "outage", "web")
	f.driftIsPutBack(t, eastA1, "outage", "web")

	zone := append(f.zone("west-a"), "agent-west-a-1")
	f.killAll(t, zone)
	f.restart(t, zone...)
	f.driftIsPutBack(t, westA1, "outage", "web")
	f.driftIsPutBack(t, westA2, "outage", "web")

	f.kill(t, "region-east")
	f.kill(t, "zone-east-a")
	f.restart(t, "zone-east-a", "region-east")
	f.driftIsPutBack(t, eastA1, "outage", "web")

	for _, cluster := range allClusters { // made anew by this test
		delete(before[cluster], "Deployment outage/web")
	}
	f.stands(t, before)
	f.upAgain(t)
	f.stands(t, before)
	again := []string{"patch deployments outage/web"}
	f.wrote(t, since, map[string][]string{westA1: append(again, again...), westA2: again, eastA1: append(again, again...)})
}

// TestClusterGoesOnWithoutItsZone restarts an agent that finds no zone: it touches nothing.
func TestClusterGoesOnWithoutItsZone(t *testing.T) {
	f := start(t)
	before, since := f.inventory(t), f.mark(t)
	f.kill(t, "zone-west-b")
	f.kill(t, "agent-west-b-1")
	f.restart(t, "agent-west-b-1")
	f.stands(t, before)
	f.upAgain(t)
	f.wroteNothing(t, since)
	f.stands(t, before)
}

// TestChangesMadeWhileARegionIsAwayArriveLater also holds that the other region is not kept waiting.
func TestChangesMadeWhileARegionIsAwayArriveLater(t *testing.T) {
	f := start(t)
	f.inNamespace(t, "later")
	web := appSpec{namespace: "later", name: "web", mode: "Duplicated", clusters: only(westB1, eastA1)}
	old := appSpec{namespace: "later", name: "old", mode: "Duplicated", clusters: only(westB1, eastA1)}
	f.submit(t, web.manifest(), old.manifest())
	f.ready(t, "later", "web", "old")

	f.kill(t, "region-west")
	web.image = "example.com/app:2"
	f.submit(t, web.manifest())
	f.deleteApp(t, "later", "old")
	f.runs(t, eastA1, "later", "web", web.image)
	f.gone(t, "later", "old", eastA1)
	for _, name := range []string{"web", "old"} {
		d, err := f.clusters[westB1].get(t.Context(), deployments, "later", name)
		if err != nil {
			t.Fatal(err)
		}
		if got := imageOf(d); got != "example.com/app:1" {
			t.Errorf("%s in the region that is away runs %s", name, got)
		}
	}

	f.restart(t, "region-west")
	f.runs(t, westB1, "later", "web", web.image)
	f.gone(t, "later", "old", westB1)
	f.settled(t)
}

// runs waits until a Deployment has an image.
func (f *federation) runs(t *testing.T, cluster, namespace, name, image string) {
	t.Helper()
	await(t, fmt.Sprintf("%s in %s runs %s", name, cluster, image), func(ctx context.Context) error {
		d, err := f.clusters[cluster].get(ctx, deployments, namespace, name)
		if err != nil {
			return err
		}
		return wrong("image", imageOf(d), image)
	})
}

func imageOf(d *unstructured.Unstructured) string {
	containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
	if len(containers) == 0 {
		return ""
	}
	image, _ := containers[0].(map[string]any)["image"].(string)
	return image
}
