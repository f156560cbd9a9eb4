package main

import (
	"bytes"
	"os"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/imagedata"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/imageimport"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/images"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/tasks"
	"github.com/gophercloud/gophercloud/pagination"
)

// patience is how long an import of a megabyte may take here.
const patience = 60 * time.Second

// settled waits until there is nothing to wait for any more.
func settled(waiting func() (bool, error)) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if more, err := waiting(); err != nil || !more || time.Now().After(end) {
			return err
		}
	}
}

// imports is data by way of the staging area and of the web.
func (shared *session) imports(s *steps) {
	owner := shared.owner.images
	told, err := imageimport.Get(owner).Extract()
	s.need("import: ways", err)
	s.is("import: ways", inOrder(told.ImportMethods.Value), []string{"glance-direct", "web-download"})

	create := func(name string) string {
		made, err := images.Create(owner, images.CreateOpts{Name: name, DiskFormat: "raw", ContainerFormat: "bare"}).Extract()
		s.need("import: an image", err)
		return made.ID
	}
	status := func(id string) images.ImageStatus {
		shown, err := images.Get(owner, id).Extract()
		s.need("import: get", err)
		return shown.Status
	}
	arrives := func(name, id string, content []byte) {
		s.need(name, settled(func() (bool, error) {
			shown, err := images.Get(owner, id).Extract()
			return err == nil && shown.Status != images.ImageStatusActive, err
		}))
		s.is(name+": the status", status(id), images.ImageStatusActive)
		back, _, err := download(owner, id)
		s.need(name, err)
		s.is(name+": the bytes", bytes.Equal(back, content), true)
	}

	staged, content := create("staged"), noise(1000003, 4)
	s.refused("import: nothing is staged",
		imageimport.Create(owner, staged, imageimport.CreateOpts{Name: imageimport.GlanceDirectMethod}).ExtractErr(), 409)
	s.need("stage", imagedata.Stage(owner, staged, bytes.NewReader(content)).ExtractErr())
	s.is("stage: the status", status(staged), images.ImageStatus("uploading"))
	s.need("import: glance-direct",
		imageimport.Create(owner, staged, imageimport.CreateOpts{Name: imageimport.GlanceDirectMethod}).ExtractErr())
	arrives("import: glance-direct", staged, content)

	content, err = os.ReadFile(shared.webFile)
	s.need("import: the file", err)
	fetched, missing := create("fetched"), create("missing")
	fetch := func(id, address string) error {
		return imageimport.Create(owner, id, imageimport.CreateOpts{Name: imageimport.WebDownloadMethod, URI: address}).ExtractErr()
	}
	s.need("import: web-download", fetch(fetched, shared.webURL))
	arrives("import: web-download", fetched, content)
	s.refused("import: an active image", fetch(fetched, shared.webURL), 409)
	s.refused("import: a scheme that is not allowed", fetch(missing, "ftp://127.0.0.1/x"), 400)
	s.refused("import: no such way", imageimport.Create(owner, missing, imageimport.CreateOpts{Name: "by-post"}).ExtractErr(), 400)
	s.need("import: a file that is not there", fetch(missing, shared.webURL+".none"))

	shared.tasksOf(s, map[string]string{staged: "success", fetched: "success", missing: "failure"})
	s.is("import: nothing came", status(missing), images.ImageStatusQueued)
	for _, id := range []string{staged, fetched, missing} {
		s.need("import: the images go", images.Delete(owner, id).ExtractErr())
	}
}

// tasksOf compares the tasks of imports, in pages of two as an administrator lists them, with how each should end.
func (shared *session) tasksOf(s *steps, wanted map[string]string) {
	_, err := tasks.List(shared.owner.images, nil).AllPages()
	s.refused("tasks: for administrators", err, 403)
	ids, pages := []string{}, []int{}
	s.need("tasks: list", tasks.List(shared.admin.images, tasks.ListOpts{Limit: 2, SortKey: "created_at", SortDir: "asc"}).EachPage(
		func(page pagination.Page) (bool, error) {
			found, err := tasks.ExtractTasks(page)
			for _, task := range found {
				ids = append(ids, task.ID)
			}
			pages = append(pages, len(found))
			return true, err
		}))
	s.is("tasks: pages", pages, []int{2, 1})
	got := map[string]string{}
	for _, id := range ids {
		var task *tasks.Task
		s.need("tasks: get", settled(func() (bool, error) {
			var err error
			task, err = tasks.Get(shared.admin.images, id).Extract()
			return err == nil && (task.Status == "pending" || task.Status == "processing"), err
		}))
		image, _ := task.Input["image_id"].(string)
		got[image] = task.Status
		s.is("tasks: a record of "+task.Status,
			[]interface{}{task.ID, task.Type, task.Owner, task.Self, task.Schema, strings.HasPrefix(task.Message, "Copied "), task.ExpiresAt.After(task.CreatedAt)},
			[]interface{}{id, "api_image_import", shared.owner.project, "/v2/tasks/" + id, "/v2/schemas/task", task.Status == "success", true})
	}
	s.is("tasks: how they ended", got, wanted)
	page, err := tasks.List(shared.admin.images, tasks.ListOpts{Status: tasks.TaskStatusFailure}).AllPages()
	s.need("tasks: by status", err)
	failed, err := tasks.ExtractTasks(page)
	s.need("tasks: by status", err)
	s.is("tasks: by status", len(failed), 1)
	if len(failed) == 0 {
		return
	}
	task, err := tasks.Get(shared.admin.images, failed[0].ID).Extract()
	s.need("tasks: the one that failed", err)
	s.is("tasks: why it failed", strings.Contains(task.Message, "404"), true)
}

// importByTask is the older way: a task that makes the image besides.
func (shared *session) importByTask(s *steps) {
	admin := shared.admin.images
	input := map[string]interface{}{"import_from": shared.webURL, "import_from_format": "raw",
		"image_properties": map[string]interface{}{"name": "by a task", "disk_format": "raw", "container_format": "bare"}}
	task, err := tasks.Create(admin, tasks.CreateOpts{Type: "import", Input: input}).Extract()
	s.need("tasks: create", err)
	s.is("tasks: create", []interface{}{task.Type, task.Owner, task.Input["import_from"]},
		[]interface{}{"import", shared.admin.project, shared.webURL})
	s.need("tasks: work", settled(func() (bool, error) {
		var err error
		task, err = tasks.Get(admin, task.ID).Extract()
		return err == nil && (task.Status == "pending" || task.Status == "processing"), err
	}))
	s.is("tasks: success", task.Status, "success")
	id, _ := task.Result["image_id"].(string)
	shown, err := images.Get(admin, id).Extract()
	s.need("tasks: the image", err)
	s.is("tasks: the image", []interface{}{shown.Name, shown.Status}, []interface{}{"by a task", images.ImageStatusActive})
	content, err := os.ReadFile(shared.webFile)
	s.need("tasks: the file", err)
	back, _, err := download(admin, id)
	s.need("tasks: the bytes", err)
	s.is("tasks: the bytes", bytes.Equal(back, content), true)
	_, err = tasks.Create(admin, tasks.CreateOpts{Type: "import", Input: map[string]interface{}{}}).Extract()
	s.refused("tasks: without an input", err, 400)
	_, err = tasks.Get(admin, "6f1f2a9e-0f0d-4d21-9c43-000000000000").Extract()
	s.refused("tasks: none such", err, 404)
	s.need("tasks: the image goes", images.Delete(admin, id).ExtractErr())
}
