package main

import (
	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/openstack/identity/v3/users"
	"github.com/gophercloud/gophercloud/openstack/imageservice/v2/images"
)

// signIn is the administrator's: the token, the catalog, and a new token in the place of one that is gone.
func (shared *session) signIn(s *steps) {
	_, err := shared.as(byPassword("admin", "not it", "admin"))
	s.refused("sign in: a wrong password", err, 401)
	shared.admin, err = shared.as(byPassword("admin", shared.password, "admin"))
	s.need("sign in", err)

	token := shared.admin.provider.Token()
	shown := tokens.Get(shared.admin.identity, token)
	user, err := shown.ExtractUser()
	s.need("token: user", err)
	s.is("token: user", []string{user.Name, user.Domain.Name}, []string{"admin", domain})
	project, err := shown.ExtractProject()
	s.need("token: project", err)
	s.is("token: project", project.Name, "admin")
	shared.admin.user, shared.admin.project = user.ID, project.ID
	catalog, err := shown.ExtractServiceCatalog()
	s.need("token: catalog", err)
	kinds := map[string]bool{}
	for _, entry := range catalog.Entries {
		kinds[entry.Type] = len(entry.Endpoints) > 0
	}
	s.is("token: catalog", kinds["identity"] && kinds["image"], true)

	s.need("token: revoked", tokens.Revoke(shared.admin.identity, token).Err)
	_, err = images.List(shared.admin.images, nil).AllPages()
	s.need("token: a revoked one is replaced by the client", err)
	s.is("token: another after it was revoked", shared.admin.provider.Token() != token, true)
	valid, err := tokens.Validate(shared.admin.identity, token)
	s.need("token: looked up after it was revoked", err)
	s.is("token: no longer valid", valid, false)
}

// people makes two projects with a user each, and signs them in.
func (shared *session) people(s *steps) {
	page, err := roles.List(shared.admin.identity, roles.ListOpts{Name: "member"}).AllPages()
	s.need("roles by name", err)
	found, err := roles.ExtractRoles(page)
	s.need("roles by name", err)
	s.is("roles by name", len(found), 1)
	shared.owner = shared.person(s, "owner", found[0].ID)
	shared.guest = shared.person(s, "guest", found[0].ID)

	credential, err := applicationcredentials.Create(shared.owner.identity, shared.owner.user,
		applicationcredentials.CreateOpts{Name: "reads", Roles: []applicationcredentials.Role{{Name: "reader"}}}).Extract()
	s.need("application credential", err)
	reader, err := shared.as(gophercloud.AuthOptions{
		ApplicationCredentialID: credential.ID, ApplicationCredentialSecret: credential.Secret})
	s.need("sign in by an application credential", err)
	_, err = images.List(reader.images, nil).AllPages()
	s.need("application credential: a reader lists", err)
	_, err = images.Create(reader.images, images.CreateOpts{Name: "x"}).Extract()
	s.refused("application credential: a reader makes nothing", err, 403)
	s.need("application credential: deleted",
		applicationcredentials.Delete(shared.owner.identity, shared.owner.user, credential.ID).ExtractErr())
}

func (shared *session) person(s *steps, name, role string) account {
	project, err := projects.Create(shared.admin.identity, projects.CreateOpts{Name: name, Description: "of " + name}).Extract()
	s.need("project", err)
	s.is("project of "+name, []interface{}{project.Name, project.Description, project.Enabled},
		[]interface{}{name, "of " + name, true})
	password := "of-" + name + "-1"
	user, err := users.Create(shared.admin.identity,
		users.CreateOpts{Name: name, Password: password, DefaultProjectID: project.ID}).Extract()
	s.need("user", err)
	s.is("user "+name, []interface{}{user.Name, user.DefaultProjectID, user.Enabled}, []interface{}{name, project.ID, true})
	_, err = shared.as(byPassword(name, password, name))
	s.refused("sign in: "+name+" without a role", err, 401)
	s.need("role of "+name, roles.Assign(shared.admin.identity, role,
		roles.AssignOpts{UserID: user.ID, ProjectID: project.ID}).ExtractErr())
	made, err := shared.as(byPassword(name, password, name))
	s.need("sign in: "+name, err)
	made.user, made.project = user.ID, project.ID
	return made
}

// end removes the users and projects, and looks that nothing is left of them or of images.
func (shared *session) end(s *steps) {
	page, err := images.List(shared.admin.images, nil).AllPages()
	s.need("images that are left", err)
	left, err := images.ExtractImages(page)
	s.need("images that are left", err)
	s.is("images that are left", len(left), 0)
	for _, gone := range []account{shared.owner, shared.guest} {
		s.need("user deleted", users.Delete(shared.admin.identity, gone.user).ExtractErr())
		s.need("project deleted", projects.Delete(shared.admin.identity, gone.project).ExtractErr())
		_, err := projects.Get(shared.admin.identity, gone.project).Extract()
		s.refused("project: gone", err, 404)
		_, err = users.Get(shared.admin.identity, gone.user).Extract()
		s.refused("user: gone", err, 404)
	}
}
