package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/imagedata"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/images"
	"github.com/gophercloud/gophercloud/pagination"
)

// bySize sends SizeMin and SizeMax, which ListOpts has but leaves out of the query, as it does all fields of type int64.
type bySize struct {
	images.ListOpts
	least, most int64
}

func (options bySize) ToImageListQuery() (string, error) {
	query, err := options.ListOpts.ToImageListQuery()
	return fmt.Sprintf("%s&size_min=%d&size_max=%d", query, options.least, options.most), err
}

// names lists, page by page: the names on each.
func names(client *gophercloud.ServiceClient, options images.ListOptsBuilder) ([][]string, error) {
	pages := [][]string{}
	err := images.List(client, options).EachPage(func(page pagination.Page) (bool, error) {
		found, err := images.ExtractImages(page)
		told := []string{}
		for _, image := range found {
			told = append(told, image.Name)
		}
		pages = append(pages, told)
		return true, err
	})
	return pages, err
}

// listing is seven images, in pages and by every filter.
func (shared *session) listing(s *steps) {
	owner := shared.owner.images
	ids := []string{}
	start := time.Now().UTC()
	for number := 0; number < 7; number++ {
		format, tags := "raw", []string{"page"}
		if number%2 == 1 {
			format, tags = "qcow2", []string{"page", "odd"}
		}
		made, err := images.Create(owner, images.CreateOpts{Name: fmt.Sprintf("page-%d", number), DiskFormat: format,
			ContainerFormat: "bare", Tags: tags, Properties: map[string]string{"number": fmt.Sprint(number)}}).Extract()
		s.need("list: an image", err)
		ids = append(ids, made.ID)
	}
	for _, number := range []int{0, 2} {
		s.need("list: data", imagedata.Upload(owner, ids[number], bytes.NewReader(noise(1000*(number+1), 2))).ExtractErr())
	}

	check := func(name string, options images.ListOptsBuilder, wanted ...string) {
		if fields, plain := options.(images.ListOpts); plain && fields.Sort == "" && fields.SortKey == "" {
			fields.Sort = "name:asc"
			options = fields
		}
		got, err := names(owner, options)
		s.need("list: "+name, err)
		told := []string{}
		for _, page := range got {
			told = append(told, strings.Join(page, " "))
		}
		s.is("list: "+name, told, wanted)
	}
	const all = "page-0 page-1 page-2 page-3 page-4 page-5 page-6"
	check("all in one page", images.ListOpts{}, all)
	check("pages of three", images.ListOpts{Limit: 3}, "page-0 page-1 page-2", "page-3 page-4 page-5", "page-6")
	check("from a marker, downwards", images.ListOpts{Limit: 2, Marker: ids[5], Sort: "name:desc"},
		"page-4 page-3", "page-2 page-1", "page-0")
	check("classic sorting", images.ListOpts{SortKey: "name", SortDir: "desc", Limit: 4},
		"page-6 page-5 page-4 page-3", "page-2 page-1 page-0")
	check("by id", images.ListOpts{ID: "in:" + ids[1] + "," + ids[4]}, "page-1 page-4")
	check("by name", images.ListOpts{Name: "page-2"}, "page-2")
	check("by names", images.ListOpts{Name: "in:page-2,page-6,none"}, "page-2 page-6")
	check("by tags", images.ListOpts{Tags: []string{"page", "odd"}}, "page-1 page-3 page-5")
	check("by tag, in pages", images.ListOpts{Tags: []string{"odd"}, Limit: 2}, "page-1 page-3", "page-5")
	check("by disk format", images.ListOpts{DiskFormat: "qcow2"}, "page-1 page-3 page-5")
	check("by container formats", images.ListOpts{ContainerFormat: "in:bare,ami"}, all)
	check("by status", images.ListOpts{Status: images.ImageStatusActive}, "page-0 page-2")
	check("by statuses", images.ListOpts{Status: "in:saving,queued"}, "page-1 page-3 page-4 page-5 page-6")
	check("by size", bySize{images.ListOpts{Sort: "name:asc"}, 1000, 2999}, "page-0")
	check("by owner", images.ListOpts{Owner: shared.owner.project}, all)
	check("by visibility", images.ListOpts{Visibility: images.ImageVisibilityShared}, all)
	check("by the day they were made", images.ListOpts{
		CreatedAtQuery: &images.ImageDateQuery{Date: start.Add(-time.Minute), Filter: images.FilterGTE}}, all)
	nothing := func(name string, client *gophercloud.ServiceClient, options images.ListOpts) {
		page, err := images.List(client, options).AllPages()
		s.need("list: "+name, err)
		found, err := images.ExtractImages(page)
		s.need("list: "+name, err)
		s.is("list: "+name, len(found), 0)
	}
	nothing("none that old", owner, images.ListOpts{
		CreatedAtQuery: &images.ImageDateQuery{Date: start.Add(-time.Minute), Filter: images.FilterLT}})
	nothing("none that is public", owner, images.ListOpts{Visibility: images.ImageVisibilityPublic})
	nothing("none of another project", shared.guest.images, images.ListOpts{})
	refuse := func(name string, options images.ListOpts) {
		_, err := names(owner, options)
		s.refused("list: "+name, err, 400)
	}
	refuse("an unknown marker", images.ListOpts{Marker: "6f1f2a9e-0f0d-4d21-9c43-000000000000"})
	refuse("an unknown sort key", images.ListOpts{Sort: "colour:asc"})
	refuse("an unknown visibility", images.ListOpts{Visibility: "secret"})
	refuse("both kinds of sorting", images.ListOpts{Sort: "name:asc", SortKey: "name"})
	for _, id := range ids {
		s.need("list: the images go", images.Delete(owner, id).ExtractErr())
	}
}
