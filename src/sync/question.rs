//! A reader's request, sent to the server.

use std::sync::Arc;

use super::{
    Error, Outbox,
    strategies::{Ask, More},
    unreadable::{Around, may_be_an_object, read_around, read_around_known},
};
use crate::{
    prefect::{self, About, EventsPage, EventsRequest, ListRequest, Listed, PrefectApi},
    rows::{Context, Page, PageReader},
    tables::{Each, Feed, Second, Strategy, Table},
};

/// The parsers of a table's pages, of its parents' pages, and of the pages of its second listing.
#[derive(Debug, Clone)]
pub(super) struct Readers {
    own: PageReader,
    parents: Option<PageReader>,
    second: Option<PageReader>,
}

impl Readers {
    pub(super) fn new(table: &'static Table, context: &Context) -> Self {
        let parents = match table.strategy {
            Strategy::Snapshot(listing) => listing.each.map(|Each { of, .. }| of),
            Strategy::Tail(Feed::Events(events)) => events.instead,
            _ => None,
        };
        let second = match table.strategy {
            Strategy::Snapshot(listing) => listing.second.map(|Second { of, .. }| of),
            _ => None,
        };
        let reader = |of| PageReader::new(of, context);
        Self {
            own: reader(table),
            parents: parents.map(reader),
            second: second.map(reader),
        }
    }
}

/// A request in progress.
pub(super) struct Question {
    pub(super) ticket: usize,
    pub(super) ask: Ask,
    /// The number of requested objects.
    pub(super) limit: u32,
}

/// The server's response to an [`Ask`].
pub(super) enum Reply {
    Page(Around, More),
    /// The object does not exist.
    Nothing,
    /// The listing does not exist or may not be read, or the server fails on the object. Its contents are unknown.
    NotKnown,
    Failed,
    Count(Option<u64>),
    Server(Option<String>, Box<About>),
}

/// A reply, or an error if the caller has disconnected.
pub(super) type Replied = Result<Result<Reply, prefect::Error>, Error>;

impl Question {
    /// Sends the request; gives up if the caller disconnects.
    pub(super) async fn put(
        self,
        api: Arc<impl PrefectApi + 'static>,
        readers: Readers,
        outbox: Outbox,
    ) -> (Self, Replied) {
        let reply = tokio::select! {
            reply = self.ask(&*api, &readers) => Ok(reply),
            () = outbox.closed() => Err(Error::CallerGone),
        };
        (self, reply)
    }

    async fn ask(&self, api: &impl PrefectApi, readers: &Readers) -> Result<Reply, prefect::Error> {
        let pages = &readers.own;
        match &self.ask {
            Ask::List(request) => list(api, pages, request).await,
            Ask::ListAround(request, known) => {
                match read_around_known(api, pages, request, known).await? {
                    Some(around) => Ok(Reply::Page(around, More::default())),
                    None => list(api, pages, request).await,
                }
            }
            Ask::Parents(request) => {
                list(api, readers.parents.as_ref().unwrap_or(pages), request).await
            }
            Ask::Second(request) => {
                second(api, readers.second.as_ref().unwrap_or(pages), request).await
            }
            Ask::Try(request) => match api.list_once(request, |body| pages.read(body)).await {
                Err(error) if may_be_an_object(&error) => Ok(Reply::Failed),
                listed => Ok(page(listed?)),
            },
            Ask::TryOne(request) => match api.list_once(request, |body| pages.read(body)).await {
                Err(error) if may_be_an_object(&error) => Ok(Reply::NotKnown),
                listed => Ok(page(listed?)),
            },
            Ask::Count(request) => Ok(Reply::Count(api.count(request).await?)),
            Ask::Get(request) => {
                let read = |body: String| pages.read(format!("[{body}]"));
                match api.get(request, read).await {
                    Err(error) if may_be_an_object(&error) => Ok(Reply::NotKnown),
                    object => Ok(object?.map_or(Reply::Nothing, page)),
                }
            }
            Ask::States(run) => Ok(page(
                api.states(run, |body| pages.read_states(&body, run))
                    .await?,
            )),
            Ask::Events(request) => events(api, pages, request).await,
            Ask::Server => {
                let version = api.version().await?;
                Ok(Reply::Server(version, Box::new(api.about().await?)))
            }
        }
    }
}

async fn list(
    api: &impl PrefectApi,
    pages: &PageReader,
    request: &ListRequest,
) -> Result<Reply, prefect::Error> {
    match api.list(request, |body| pages.read(body)).await {
        Err(error) if may_be_an_object(&error) => {
            let around = read_around(api, pages, request, error).await?;
            Ok(Reply::Page(around, More::default()))
        }
        // The parent object of the listing was probably deleted in the meantime.
        Err(prefect::Error::NotFound { .. }) if request.parent.is_some() => Ok(Reply::NotKnown),
        listed => Ok(page(listed?)),
    }
}

/// Requests a page of a second listing. A server without it, or a key that may not read it, is not an error.
async fn second(
    api: &impl PrefectApi,
    pages: &PageReader,
    request: &ListRequest,
) -> Result<Reply, prefect::Error> {
    match list(api, pages, request).await {
        Err(prefect::Error::NotFound { .. } | prefect::Error::Forbidden { .. }) => {
            Ok(Reply::NotKnown)
        }
        listed => listed,
    }
}

async fn events(
    api: &impl PrefectApi,
    pages: &PageReader,
    request: &EventsRequest,
) -> Result<Reply, prefect::Error> {
    let read = |body: String| {
        let page = EventsPage::read(&body)?;
        let more = More {
            next: page.next()?,
            total: page.total,
        };
        Ok((pages.read_events(&page.events)?, more))
    };
    let Listed {
        page: (page, more),
        server_time,
    } = api.events(request, read).await?;
    let listed = Listed { page, server_time };
    Ok(Reply::Page(Around::nothing(listed), more))
}

fn page(listed: Listed<Page>) -> Reply {
    Reply::Page(Around::nothing(listed), More::default())
}
