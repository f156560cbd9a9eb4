//! A whole box on simulated media: it starts, works, loses power and starts again.
//!
//! Invariant: what a later start finds is only what the media kept. Every start draws ids of its
//! own, as a real one does.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use tintype::base::{Clock, Entropy, Time};
use tintype::db::{self, Db, SEALED_MAGIC, Sealed};
use tintype::model::ProjectId;
use tintype::objects::{CopySource, Memory, Objects, WithCopies};
use tintype::service::identity::{Password, PasswordCost};
use tintype::service::rebuild::{self, Rebuilt};
use tintype::service::{Actor, Rules, Service};
use tintype::store::{self, KeyError, MasterKey, Receipt, RewritePolicy, Scope, Store, Unfinished, Vault};

use crate::chance::{Dice, SeededEntropy, SteppedClock};
use crate::disk::{DiskHabit, Loss};
use crate::folder::Folder;
use crate::power::{Plan, Power};
use crate::shelf::{Shelf, ShelfHabit, Stock};
use crate::tasks::Drawer;
use crate::world::{Body, World};

/// The pieces in which a body arrives. The store's budget holds one, so that a piece is worked off
/// before the next is taken, and two uploads take turns in the same way every time.
pub const PIECE_BYTES: usize = 1 << 20;
/// When the first box of all is started, in microseconds since the epoch.
const BIRTH: i64 = 1_700_000_000_000_000;
/// Small enough that a small image fills several packs.
const PACK_BYTES: u64 = 64 << 10;

/// Small enough that a workload makes a snapshot of the catalog or two.
const SNAPSHOT_LOG_BYTES: u64 = 8 << 10;

/// How a box is built.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// Whether its store is sealed.
    pub sealed: bool,
    /// What everything random follows from.
    pub seed: u64,
    /// How its disk works.
    pub disk: DiskHabit,
    /// How its shelf works.
    pub shelf: ShelfHabit,
    /// Whether its catalog is plain all the same, as an earlier release's was.
    pub plain_catalog: bool,
    /// Whether it has a store beside its home.
    pub place: bool,
}

impl Build {
    /// A box on honest media.
    pub fn honest(sealed: bool, seed: u64) -> Build {
        Build {
            sealed,
            seed,
            disk: DiskHabit::Honest,
            shelf: ShelfHabit::Honest,
            plain_catalog: false,
            place: false,
        }
    }

    /// The same with a store beside its home.
    pub fn with_place(self) -> Build {
        Build { place: true, ..self }
    }

    /// The same on honest media, as this release makes it.
    pub fn on_honest_media(self) -> Build {
        Build { place: self.place, ..Build::honest(self.sealed, self.seed) }
    }

    /// The master key with this number, of a sealed box.
    pub fn master(&self, number: u64) -> Option<MasterKey> {
        self.sealed.then(|| MasterKey::generate(&SeededEntropy::new(u64::MAX - number)))
    }
}

/// What lies on the media while the box is off.
#[derive(Debug, Clone, Default)]
pub struct Media {
    /// The database's bytes.
    pub disk: Vec<u8>,
    /// The objects.
    pub stock: Stock,
    /// The objects of the store beside the home, where there is one.
    pub cold: Stock,
    /// What a copy of the store has, where one was made.
    pub copy: Option<Stock>,
    /// Objects that were at work when power went.
    pub left_over: usize,
    /// Where images are imported from.
    pub drawer: Drawer,
    /// How often a box was started on them.
    pub starts: u64,
    /// The moment power went: time goes on from there.
    pub now: Time,
}

/// What is left of a box without power: its media but for what its disk had not synced, of which more or less may be lost.
pub struct Wreck {
    folder: Folder,
    /// All but the disk's bytes.
    media: Media,
    /// What its callers may expect of the next box.
    pub world: World,
}

impl Wreck {
    /// What a start finds.
    pub fn media(&self, loss: Loss, dice: &mut Dice) -> Media {
        Media { disk: self.folder.remains(loss, dice), ..self.media.clone() }
    }
}

/// A box.
pub struct Machine {
    /// Its power supply.
    pub power: Power,
    /// The medium of its objects.
    pub shelf: Shelf,
    /// The medium of the store beside its home.
    pub cold: Shelf,
    /// Its clock.
    pub clock: Arc<SteppedClock>,
    /// What its callers may expect.
    pub world: RefCell<World>,
    /// What callers might expect at each moment so far.
    moments: RefCell<Vec<(Time, World)>>,
    build: Build,
    folder: Folder,
    starts: Cell<u64>,
    /// Master keys of which this start showed that they are not the store's.
    refused: RefCell<Vec<u64>>,
    /// What lies elsewhere; no power cut reaches it.
    copy: RefCell<Option<Stock>>,
    /// Where images are imported from; none reaches that either.
    pub drawer: Drawer,
    runtime: tokio::runtime::Runtime,
    running: RefCell<Option<Running>>,
}

/// What is there while the box is on.
struct Running {
    db: Db,
    service: Service,
    /// Durable streams that nobody published yet.
    held: BTreeMap<u64, (Receipt, Source)>,
}

/// What a stream brought, and whose key domain it is in; owner 0 is the store itself.
pub type Source = (Body, u64);

impl Machine {
    /// A box that is off.
    pub fn new(build: Build, media: &Media, world: World) -> Machine {
        let power = Power::default();
        Machine {
            folder: Folder::new(power.clone(), build.disk, media.disk.clone()),
            shelf: Shelf::new(power.clone(), build.shelf, media.stock.clone(), media.left_over),
            cold: Shelf::new(power.clone(), build.shelf, media.cold.clone(), 0),
            power,
            clock: Arc::new(SteppedClock::new(media.now.0.max(BIRTH))),
            // Expected since before this box was started.
            moments: RefCell::new(vec![(Time(i64::MIN), world.clone())]),
            world: RefCell::new(world),
            build,
            starts: Cell::new(media.starts),
            refused: RefCell::default(),
            copy: RefCell::new(media.copy.clone()),
            drawer: media.drawer.clone(),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            running: RefCell::new(None),
        }
    }

    /// Starts the box, as the daemon does.
    ///
    /// # Errors
    /// What the product says.
    pub fn start(&self) -> Result<(), String> {
        self.starts.set(self.starts.get() + 1);
        let entropy: Arc<dyn Entropy> =
            Arc::new(SeededEntropy::new(self.build.seed.wrapping_mul(1000) + self.starts.get()));
        let clock: Arc<dyn Clock> = self.clock.clone();
        let vault = self.vault(&*clock, &*entropy).map_err(|e| format!("the store: {e}"))?;
        let vault = vault.with_places(self.places());
        let db = self.catalog(&vault, &*entropy)?;
        let store = Store::open_in(db.clone(), vault, store_options(), clock.clone(), entropy.clone())
            .map_err(|e| format!("the store: {e}"))?;
        let rules = Rules { password_cost: PasswordCost { memory_kib: 8, passes: 1 }, ..Rules::default() };
        // As a server does every second, where a place did not answer at once.
        let _ = store.enter_places();
        let stores = self.stores(&store);
        let service = Service::new(db.clone(), store, clock, entropy, rules)
            .with_buckets(self.drawer.buckets())
            .with_stores(stores);
        service.bootstrap(&password()).map_err(|e| format!("setting up: {e:?}"))?;
        service.recover_uploads().map_err(|e| format!("recovering uploads: {e:?}"))?;
        service.recover_jobs(true).map_err(|e| format!("recovering jobs: {e:?}"))?;
        *self.running.borrow_mut() = Some(Running { db, service, held: BTreeMap::new() });
        Ok(())
    }

    /// Makes the catalog anew on the empty disk, from the shelf alone, as the daemon does.
    ///
    /// # Errors
    /// What the product says.
    pub fn rebuild(&self) -> Result<Rebuilt, String> {
        let entropy = Arc::new(SeededEntropy::new(self.build.seed));
        let number = self.world.borrow().master_keys()[0];
        let (objects, master) = (self.objects(), self.build.master(number));
        let vault = Vault::open(objects, master.as_ref()).map_err(|e| format!("the store: {e}"))?;
        let vault = vault.ok_or("there is no store")?.with_places(self.places());
        let db = self.catalog(&vault, &*entropy)?;
        let store = Store::open_lost_in(db.clone(), vault, store_options(), self.clock.clone(), entropy)
            .map_err(|e| format!("the store: {e}"))?;
        let rebuilt =
            rebuild::rebuild(&db, &store, &mut |_, _| ()).map_err(|e| format!("rebuilding: {e}"))?;
        drop(store);
        db.close().map_err(|e| format!("closing: {e}"))?;
        Ok(rebuilt)
    }

    fn catalog(&self, vault: &Vault, entropy: &dyn Entropy) -> Result<Db, String> {
        let options = db::Options {
            cache_bytes: 1 << 20,
            journal: tintype::service::fact_tables(),
            derived: tintype::service::derived_tables(),
        };
        let keys = vault.catalog_keys().map_err(|e| format!("the store: {e}"))?;
        let db = match keys.first().filter(|_| !self.build.plain_catalog) {
            Some(newest) => db::seal_anew(&self.folder, &self.folder.catalog(), &keys, entropy)
                .and_then(|copy| {
                    copy.map_or_else(|| Sealed::open(self.folder.catalog(), newest, entropy), Ok)
                })
                .and_then(|medium| Db::open_on(medium, options)),
            None => Db::open_on(self.folder.catalog(), options),
        };
        db.map_err(|e| format!("the catalog: {e}"))
    }

    /// Whether nothing of the catalog's file can be read without a key.
    pub fn is_catalog_sealed(&self) -> bool {
        self.folder.catalog().bytes().starts_with(&SEALED_MAGIC)
    }

    /// Makes a copy of the store as it is now, which later starts know of.
    pub fn copy(&self) {
        *self.copy.borrow_mut() = Some(self.shelf.stock());
    }

    /// Changes a byte of the first pack in the copy.
    pub fn rot_copy(&self, at: usize) {
        let mut copy = self.copy.borrow_mut();
        let stock = copy.iter_mut().flatten().find(|(key, _)| key.as_str().starts_with("pack/"));
        if let Some((_, bytes)) = stock {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            *bytes = changed.into();
        }
    }

    /// The medium, with the copy of it if there is one.
    fn objects(&self) -> Arc<dyn Objects> {
        let shelf = Arc::new(self.shelf.clone());
        let Some(stock) = &*self.copy.borrow() else { return shelf };
        let copy = Memory::new();
        stock.iter().for_each(|(key, bytes)| copy.put(key, bytes).unwrap());
        let source = CopySource::medium("the copy".to_owned(), Arc::new(copy));
        Arc::new(WithCopies::new(shelf, vec![source]))
    }

    /// Changes what callers may expect.
    pub fn tell(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.borrow_mut());
        self.moments.borrow_mut().push((self.clock.now(), self.world.borrow().clone()));
    }

    /// What callers might expect at each moment so far.
    pub fn moments(&self) -> Vec<(Time, World)> {
        self.moments.borrow().clone()
    }

    /// The store, before its catalog is opened: with whichever master key opens it, where a failed
    /// change left that in doubt. Every other start tries the newer one first.
    fn vault(&self, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Vault, store::Error> {
        let mut candidates = self.world.borrow().master_keys().to_vec();
        if self.starts.get().is_multiple_of(2) {
            candidates.reverse();
        }
        loop {
            let number = candidates.remove(0);
            match self.vault_with(number, clock, entropy) {
                Err(store::Error::Key(KeyError::Wrong { .. })) if !candidates.is_empty() => {}
                outcome => {
                    if outcome.is_ok() {
                        self.refused.borrow_mut().extend(candidates);
                        self.world.borrow_mut().set_master_keys(vec![number]);
                    }
                    return outcome;
                }
            }
        }
    }

    fn vault_with(
        &self,
        number: u64,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Vault, store::Error> {
        let (objects, master) = (self.objects(), self.build.master(number));
        match Vault::open(objects.clone(), master.as_ref())? {
            Some(vault) => Ok(vault),
            None => Vault::create(objects, master.as_ref(), clock, entropy),
        }
    }

    /// A store that was opened with one of two master keys is not opened by the other any more.
    ///
    /// # Errors
    /// When it is.
    pub fn judge_keys(&self) -> Result<(), String> {
        for number in self.refused.take() {
            let (objects, master) = (self.objects(), self.build.master(number));
            match Vault::open(objects, master.as_ref()) {
                Err(store::Error::Key(KeyError::Wrong { .. })) => {}
                Err(error) => return Err(format!("master key {number}: {error}")),
                Ok(_) => return Err(format!("two master keys open the store, {number} is one")),
            }
        }
        Ok(())
    }

    /// The number of an owner's key domain; owner 0 is the store itself.
    pub fn domain_of(&self, owner: u64) -> Option<u32> {
        let of = (owner > 0).then(|| owner_scope(owner).owner());
        let domains = self.service().store().domains();
        domains.into_iter().find(|status| status.owner == of).map(|status| status.domain)
    }

    /// Gives a domain another key; nothing is sealed anew yet.
    pub fn rotate_domain(&self, owner: u64) -> Result<(), String> {
        let Some(domain) = self.domain_of(owner) else { return Ok(()) };
        self.service().store().rotate_domain(domain).map(drop).map_err(|e| format!("{e:?}"))
    }

    /// Seals every domain anew that has an older key, as far as this start can.
    pub fn reseal(&self) -> Result<(), String> {
        let store = self.service().store().clone();
        for domain in store.unfinished_domains() {
            loop {
                let watch = &mut |_| std::ops::ControlFlow::Continue(());
                match store.reseal(domain, watch).map_err(|e| format!("{e:?}"))?.unfinished {
                    None | Some(Unfinished::Catalog) => break,
                    // The threads of an upload let go of what they wrote a moment after its end.
                    Some(Unfinished::InUse) => std::thread::sleep(std::time::Duration::from_millis(2)),
                    Some(other) => return Err(format!("domain {domain} was not sealed anew: {other:?}")),
                }
            }
        }
        Ok(())
    }

    /// Erases an owner's key domain.
    pub fn erase(&self, owner: u64) -> Result<(), String> {
        let Some(domain) = self.domain_of(owner) else {
            // An earlier try, or nobody ever made it.
            if self.world.borrow().may_be_erased(owner) {
                self.tell(|world| world.erase(owner, vec![true]));
            }
            return Ok(());
        };
        let erased = self.service().store().erase_domain(domain);
        self.tell(|world| world.erase(owner, if erased.is_ok() { vec![true] } else { vec![false, true] }));
        erased.map_err(|e| format!("{e:?}"))
    }

    /// A stream in a key domain of its own, which is made for it.
    pub fn owned_scope(&self, owner: u64) -> Result<Scope, String> {
        let owner = owner_scope(owner);
        self.service().store().sealed_for(owner, &[], Scope::STORE).map_err(|e| format!("{e:?}"))
    }

    /// Another master key.
    pub fn rotate(&self, number: u64) -> Result<(), String> {
        let Some(master) = self.build.master(number) else { return Ok(()) };
        let old = self.world.borrow().master_keys()[0];
        self.world.borrow_mut().set_master_keys(vec![old, number]);
        let version = self.service().store().rotate_master(master).map_err(|e| format!("{e:?}"))?;
        assert!(version > 1);
        self.world.borrow_mut().set_master_keys(vec![number]);
        Ok(())
    }

    /// Ends the process in good order.
    ///
    /// # Errors
    /// What the product says.
    pub fn stop(&self) -> Result<(), String> {
        let Some(Running { db, service, held }) = self.running.take() else { return Ok(()) };
        // As the daemon does before it closes the box; when it fails, the next start ships.
        let shipped = service.store().ship();
        drop((held, service));
        // Threads of finished uploads let go of the store a moment after their last answer; the
        // clock is among what the store holds.
        while Arc::strong_count(&self.clock) > 1 {
            std::thread::yield_now();
        }
        db.close().map_err(|e| format!("closing: {e}"))?;
        shipped.map_err(|e| format!("shipping the journal: {e}"))
    }

    /// Takes power away, or kills the process; what the media then hold.
    pub fn remains(self, loss: Loss, dice: &mut Dice) -> (Media, World) {
        let wreck = self.cut();
        (wreck.media(loss, dice), wreck.world)
    }

    /// Takes power away, or kills the process.
    pub fn cut(self) -> Wreck {
        self.power.cut();
        let (stock, left_over) = self.shelf.remains();
        let media = Media {
            disk: Vec::new(),
            stock,
            cold: self.cold.remains().0,
            copy: self.copy.take(),
            drawer: self.drawer.clone(),
            left_over,
            starts: self.starts.get(),
            now: self.clock.now(),
        };
        drop(self.running);
        Wreck { folder: self.folder, media, world: self.world.into_inner() }
    }

    /// Whether it has a store beside its home.
    pub fn has_place(&self) -> bool {
        self.build.place
    }

    /// Whether its store is sealed.
    pub fn is_sealed(&self) -> bool {
        self.build.sealed
    }

    /// Whether the box is on.
    pub fn is_running(&self) -> bool {
        self.running.borrow().is_some()
    }

    /// The use cases.
    pub fn service(&self) -> Service {
        self.running().service.clone()
    }

    /// The database.
    pub fn db(&self) -> Db {
        self.running().db.clone()
    }

    /// Keeps a durable stream for later.
    pub fn hold(&self, slot: u64, receipt: Receipt, source: Source) {
        self.running.borrow_mut().as_mut().unwrap().held.insert(slot, (receipt, source));
    }

    /// Gives a durable stream that was kept.
    pub fn held(&self, slot: u64) -> Option<(Receipt, Source)> {
        self.running.borrow_mut().as_mut()?.held.remove(&slot)
    }

    /// Gives up every stream that was kept.
    pub fn let_go(&self) {
        self.running.borrow_mut().as_mut().unwrap().held.clear();
    }

    /// Runs what must wait for the product.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Makes the next steps count from 0, and fail as planned.
    pub fn arm(&self, plan: Option<Plan>) {
        self.power.arm(plan);
    }

    fn running(&self) -> Ref<'_, Running> {
        Ref::map(self.running.borrow(), |running| running.as_ref().expect("the box is on"))
    }
}

fn owner_scope(owner: u64) -> Scope {
    Scope::of("owner", &owner.to_string())
}

fn store_options() -> store::Options {
    store::Options {
        memory_bytes: 2 * PIECE_BYTES,
        pack_bytes: PACK_BYTES,
        snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
        // Made by scrubs, so only where a workload has one.
        parity: Some(store::ParityRatio { data: 16, parity: 1 }),
        rewrite: RewritePolicy { recompress_after_s: 0, ..RewritePolicy::default() },
        ..store::Options::default()
    }
}

/// The administrator's password.
pub fn password() -> Password {
    Password::new("admin-pw".to_owned()).unwrap()
}

/// Who acts in every run.
pub fn actor() -> Actor {
    Actor::local_admin(ProjectId::from("project"))
}
