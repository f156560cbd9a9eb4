package main

import (
	"bytes"

	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/imagedata"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/images"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/members"
)

// sharing is an offer, what the other project does with it, and its end.
func (shared *session) sharing(s *steps) {
	owner, guest := shared.owner.images, shared.guest.images
	made, err := images.Create(owner, images.CreateOpts{Name: "shared", DiskFormat: "raw", ContainerFormat: "bare"}).Extract()
	s.need("members: an image", err)
	content := noise(70001, 3)
	s.need("members: its data", imagedata.Upload(owner, made.ID, bytes.NewReader(content)).ExtractErr())
	_, err = images.Update(owner, made.ID, images.UpdateOpts{images.UpdateVisibility{Visibility: images.ImageVisibilityPrivate}}).Extract()
	s.need("members: private", err)
	_, err = members.Create(owner, made.ID, shared.guest.project).Extract()
	s.refused("members: none of a private image", err, 403)
	_, err = images.Update(owner, made.ID, images.UpdateOpts{images.UpdateVisibility{Visibility: images.ImageVisibilityShared}}).Extract()
	s.need("members: shared", err)

	member, err := members.Create(owner, made.ID, shared.guest.project).Extract()
	s.need("members: create", err)
	s.is("members: create", []string{member.ImageID, member.MemberID, member.Status, member.Schema},
		[]string{made.ID, shared.guest.project, "pending", "/v2/schemas/member"})
	_, err = members.Create(owner, made.ID, shared.guest.project).Extract()
	s.refused("members: the same again", err, 409)
	page, err := members.List(owner, made.ID).AllPages()
	s.need("members: list", err)
	listed, err := members.ExtractMembers(page)
	s.need("members: list", err)
	s.is("members: list", listed, []members.Member{*member})
	shown, err := members.Get(guest, made.ID, shared.guest.project).Extract()
	s.need("members: get", err)
	s.is("members: get", shown, member)

	sees := func(name string, status images.ImageMemberStatus, wanted int) {
		page, err := images.List(guest, images.ListOpts{MemberStatus: status, Visibility: images.ImageVisibilityShared}).AllPages()
		s.need("members: "+name, err)
		found, err := images.ExtractImages(page)
		s.need("members: "+name, err)
		s.is("members: "+name, len(found), wanted)
	}
	sees("the other project is offered it", images.ImageMemberStatusPending, 1)
	sees("and does not list it yet", "", 0)
	_, err = members.Update(owner, made.ID, shared.guest.project, members.UpdateOpts{Status: "accepted"}).Extract()
	s.refused("members: the owner does not accept", err, 403)
	_, err = members.Update(guest, made.ID, shared.guest.project, members.UpdateOpts{Status: "perhaps"}).Extract()
	s.refused("members: no such status", err, 400)
	for _, status := range []images.ImageMemberStatus{"rejected", "accepted"} {
		member, err = members.Update(guest, made.ID, shared.guest.project, members.UpdateOpts{Status: string(status)}).Extract()
		s.need("members: "+string(status), err)
		s.is("members: "+string(status), member.Status, string(status))
		sees("listed as "+string(status), status, 1)
	}
	sees("lists what it accepted", "", 1)
	back, _, err := download(guest, made.ID)
	s.need("members: download", err)
	s.is("members: download", bytes.Equal(back, content), true)
	_, err = images.Update(guest, made.ID, images.UpdateOpts{images.ReplaceImageName{NewName: "theirs"}}).Extract()
	s.refused("members: change nothing", err, 403)

	s.need("members: delete", members.Delete(owner, made.ID, shared.guest.project).ExtractErr())
	s.refused("members: delete, a second time", members.Delete(owner, made.ID, shared.guest.project).ExtractErr(), 404)
	_, err = images.Get(guest, made.ID).Extract()
	s.refused("members: no longer seen", err, 404)
	s.need("members: the image goes", images.Delete(owner, made.ID).ExtractErr())
}
