package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"math/rand"
	"sort"

	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/imagedata"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/images"
)

// noise is data that no two calls have in common.
func noise(size int, seed int64) []byte {
	data := make([]byte, size)
	rand.New(rand.NewSource(seed)).Read(data)
	return data
}

func download(client *gophercloud.ServiceClient, id string) ([]byte, string, error) {
	answer := imagedata.Download(client, id)
	body, err := answer.Extract()
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	return data, answer.Header.Get("Content-MD5"), err
}

func inOrder(values []string) []string {
	sort.Strings(values)
	return values
}

// lifeOfAnImage is an image from its record to its end.
func (shared *session) lifeOfAnImage(s *steps) {
	owner := shared.owner.images
	private, protected := images.ImageVisibilityPrivate, true
	wanted := images.CreateOpts{ID: "6f1f2a9e-0f0d-4d21-9c43-8a3f0b1a7a10", Name: "disk ü/1", Visibility: &private,
		Tags: []string{"two", "one"}, ContainerFormat: "bare", DiskFormat: "raw", MinDisk: 3, MinRAM: 64,
		Protected: &protected, Properties: map[string]string{"os_distro": "debian", "own": "a \"quoted\" ü"}}
	made, err := images.Create(owner, wanted).Extract()
	s.need("create", err)
	s.is("create: the record",
		[]interface{}{made.ID, made.Name, made.Visibility, inOrder(made.Tags), made.ContainerFormat, made.DiskFormat,
			made.MinDiskGigabytes, made.MinRAMMegabytes, made.Protected, made.Owner, made.Status, made.SizeBytes, made.Checksum},
		[]interface{}{wanted.ID, wanted.Name, private, []string{"one", "two"}, "bare", "raw",
			3, 64, true, shared.owner.project, images.ImageStatusQueued, int64(0), ""})
	s.is("create: properties", []interface{}{made.Properties["os_distro"], made.Properties["own"], made.Properties["os_hidden"]},
		[]interface{}{"debian", "a \"quoted\" ü", false})
	s.is("create: ways to import", inOrder(made.OpenStackImageImportMethods), []string{"glance-direct", "web-download"})
	s.is("create: places", []interface{}{made.File, made.Schema},
		[]interface{}{"/v2/images/" + made.ID + "/file", "/v2/schemas/image"})
	_, err = images.Create(owner, wanted).Extract()
	s.refused("create: the same id again", err, 409)
	_, err = images.Create(owner, images.CreateOpts{Name: "x", DiskFormat: "floppy"}).Extract()
	s.refused("create: no such format", err, 400)

	_, _, err = download(owner, made.ID)
	s.refused("download: no data yet", err, 204)
	content := noise(5000001, 1)
	s.need("upload", imagedata.Upload(owner, made.ID, bytes.NewReader(content)).ExtractErr())
	active, err := images.Get(owner, made.ID).Extract()
	s.need("get", err)
	md5sum, sha := md5.Sum(content), sha512.Sum512(content)
	s.is("upload: the record",
		[]interface{}{active.Status, active.SizeBytes, active.Checksum,
			active.Properties["os_hash_algo"], active.Properties["os_hash_value"]},
		[]interface{}{images.ImageStatusActive, int64(len(content)), hex.EncodeToString(md5sum[:]),
			"sha512", hex.EncodeToString(sha[:])})
	s.is("upload: the image is as it was", []interface{}{active.ID, active.CreatedAt, active.Properties["own"]},
		[]interface{}{made.ID, made.CreatedAt, made.Properties["own"]})
	s.refused("upload: a second time", imagedata.Upload(owner, made.ID, bytes.NewReader(content)).ExtractErr(), 409)
	back, checksum, err := download(owner, made.ID)
	s.need("download", err)
	s.is("download: the bytes", bytes.Equal(back, content), true)
	s.is("download: the checksum", checksum, hex.EncodeToString(md5sum[:]))
	_, err = images.Get(shared.guest.images, made.ID).Extract()
	s.refused("get: by another project", err, 404)

	s.refused("delete: protected", images.Delete(owner, made.ID).ExtractErr(), 403)
	_, err = images.Update(owner, made.ID, images.UpdateOpts{patch{"replace", "/protected", false}}).Extract()
	s.need("update: no longer protected", err)
	s.refused("delete: by another project", images.Delete(shared.guest.images, made.ID).ExtractErr(), 404)
	s.need("delete", images.Delete(owner, made.ID).ExtractErr())
	_, err = images.Get(owner, made.ID).Extract()
	s.refused("get: deleted", err, 404)
	s.refused("delete: a second time", images.Delete(owner, made.ID).ExtractErr(), 404)
	_, _, err = download(owner, made.ID)
	s.refused("download: deleted", err, 404)
}

// patch is a change that the package has no name for.
type patch struct {
	operation, path string
	value           interface{}
}

func (p patch) ToImagePatchMap() map[string]interface{} {
	return map[string]interface{}{"op": p.operation, "path": p.path, "value": p.value}
}

// changes is every change of a record that the package has.
func (shared *session) changes(s *steps) {
	owner := shared.owner.images
	made, err := images.Create(owner, images.CreateOpts{Name: "before", DiskFormat: "qcow2", ContainerFormat: "bare",
		Tags: []string{"old"}, Properties: map[string]string{"kept": "1", "changed": "1", "removed": "1"}}).Extract()
	s.need("update: an image", err)
	changed, err := images.Update(owner, made.ID, images.UpdateOpts{
		images.ReplaceImageName{NewName: "after"},
		images.ReplaceImageTags{NewTags: []string{"b", "a"}},
		images.ReplaceImageMinDisk{NewMinDisk: 7},
		images.ReplaceImageMinRam{NewMinRam: 128},
		images.UpdateVisibility{Visibility: images.ImageVisibilityCommunity},
		images.UpdateImageProperty{Op: images.AddOp, Name: "added", Value: "new"},
		images.UpdateImageProperty{Op: images.ReplaceOp, Name: "changed", Value: "2"},
		images.UpdateImageProperty{Op: images.RemoveOp, Name: "removed"},
	}).Extract()
	s.need("update", err)
	shown, err := images.Get(owner, made.ID).Extract()
	s.need("update: get", err)
	compare := func(name string, record *images.Image) {
		_, removed := record.Properties["removed"]
		s.is(name,
			[]interface{}{record.Name, inOrder(record.Tags), record.MinDiskGigabytes, record.MinRAMMegabytes, record.Visibility,
				record.Properties["kept"], record.Properties["changed"], record.Properties["added"], removed, record.DiskFormat},
			[]interface{}{"after", []string{"a", "b"}, 7, 128, images.ImageVisibilityCommunity, "1", "2", "new", false, "qcow2"})
	}
	compare("update: the answer", changed)
	compare("update: the record", shown)

	refuse := func(name string, status int, changes ...images.Patch) {
		_, err := images.Update(owner, made.ID, images.UpdateOpts(changes)).Extract()
		s.refused(name, err, status)
	}
	refuse("update: public, by its owner alone", 403, images.UpdateVisibility{Visibility: images.ImageVisibilityPublic})
	refuse("update: the checksum", 403, images.ReplaceImageChecksum{Checksum: "0"})
	refuse("update: removes what is not there", 409, images.UpdateImageProperty{Op: images.RemoveOp, Name: "removed"})
	refuse("update: replaces what is not there", 409, images.UpdateImageProperty{Op: images.ReplaceOp, Name: "removed", Value: "x"})
	refuse("update: no such visibility", 400, images.UpdateVisibility{Visibility: "secret"})
	refuse("update: all of it or nothing", 409, images.ReplaceImageName{NewName: "half"},
		images.UpdateImageProperty{Op: images.RemoveOp, Name: "removed"})
	_, err = images.Update(shared.guest.images, made.ID, images.UpdateOpts{images.ReplaceImageName{NewName: "theirs"}}).Extract()
	s.refused("update: by another project", err, 403)
	after, err := images.Get(owner, made.ID).Extract()
	s.need("update: refused", err)
	s.is("update: what was refused changed nothing", after, shown)
	s.need("update: the image goes", images.Delete(owner, made.ID).ExtractErr())
}
