//! A reader's request, sent to the server.

use std::sync::Arc;

use super::{
    Error, Outbox,
    strategies::{NextPage, Request},
    unreadable::{PageWithGaps, may_be_an_object, read_around, read_around_known},
};
use crate::{
    prefect::{self, EventsPage, EventsRequest, ListRequest, ListResponse, PrefectApi, ServerInfo},
    rows::{Context, PageReader, ParsedPage},
    tables::{Feed, PerParent, Second, Strategy, Table},
};

/// The parsers of a table's pages, of its parents' pages, and of the pages of its second listing.
#[derive(Debug, Clone)]
pub(super) struct PageParsers {
    own: PageReader,
    parents: Option<PageReader>,
    second: Option<PageReader>,
}

impl PageParsers {
    pub(super) fn new(table: &'static Table, context: &Context) -> Self {
        let parents = match table.strategy {
            Strategy::Snapshot(listing) => listing.each.map(|PerParent { table, .. }| table),
            Strategy::AppendOnly(Feed::Events(events)) => events.fallback,
            _ => None,
        };
        let second = match table.strategy {
            Strategy::Snapshot(listing) => listing.second.map(|Second { table, .. }| table),
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
pub(super) struct PendingRequest {
    pub(super) ticket: usize,
    pub(super) ask: Request,
    /// The number of requested objects.
    pub(super) limit: u32,
}

/// The server's response to a [`Request`].
pub(super) enum FetchResult {
    Page(PageWithGaps, NextPage),
    /// The object does not exist.
    Nothing,
    /// The listing does not exist or may not be read, or the server fails on the object. Its contents are unknown.
    NotKnown,
    Failed,
    Count(Option<u64>),
    Server(Option<String>, Box<ServerInfo>),
}

/// A reply, or an error if the caller has disconnected.
pub(super) type Replied = Result<Result<FetchResult, prefect::Error>, Error>;

impl PendingRequest {
    /// Sends the request; gives up if the caller disconnects.
    pub(super) async fn put(
        self,
        api: Arc<impl PrefectApi + 'static>,
        readers: PageParsers,
        outbox: Outbox,
    ) -> (Self, Replied) {
        let reply = tokio::select! {
            reply = self.ask(&*api, &readers) => Ok(reply),
            () = outbox.closed() => Err(Error::CallerGone),
        };
        (self, reply)
    }

    async fn ask(
        &self,
        api: &impl PrefectApi,
        readers: &PageParsers,
    ) -> Result<FetchResult, prefect::Error> {
        let pages = &readers.own;
        match &self.ask {
            Request::List(request) => list(api, pages, request).await,
            Request::ListAround(request, known) => {
                match read_around_known(api, pages, request, known).await? {
                    Some(around) => Ok(FetchResult::Page(around, NextPage::default())),
                    None => list(api, pages, request).await,
                }
            }
            Request::Parents(request) => {
                list(api, readers.parents.as_ref().unwrap_or(pages), request).await
            }
            Request::Second(request) => {
                second(api, readers.second.as_ref().unwrap_or(pages), request).await
            }
            Request::Try(request) => match api.list_once(request, |body| pages.read(body)).await {
                Err(error) if may_be_an_object(&error) => Ok(FetchResult::Failed),
                listed => Ok(page(listed?)),
            },
            Request::TryOne(request) => match api.list_once(request, |body| pages.read(body)).await
            {
                Err(error) if may_be_an_object(&error) => Ok(FetchResult::NotKnown),
                listed => Ok(page(listed?)),
            },
            Request::Count(request) => Ok(FetchResult::Count(api.count(request).await?)),
            Request::Get(request) => {
                let read = |body: String| pages.read(format!("[{body}]"));
                match api.get(request, read).await {
                    Err(error) if may_be_an_object(&error) => Ok(FetchResult::NotKnown),
                    object => Ok(object?.map_or(FetchResult::Nothing, page)),
                }
            }
            Request::States(run) => Ok(page(
                api.states(run, |body| pages.read_states(&body, run))
                    .await?,
            )),
            Request::Events(request) => events(api, pages, request).await,
            Request::Server => {
                let version = api.version().await?;
                Ok(FetchResult::Server(version, Box::new(api.about().await?)))
            }
        }
    }
}

async fn list(
    api: &impl PrefectApi,
    pages: &PageReader,
    request: &ListRequest,
) -> Result<FetchResult, prefect::Error> {
    match api.list(request, |body| pages.read(body)).await {
        Err(error) if may_be_an_object(&error) => {
            let around = read_around(api, pages, request, error).await?;
            Ok(FetchResult::Page(around, NextPage::default()))
        }
        // The parent object of the listing was probably deleted in the meantime.
        Err(prefect::Error::NotFound { .. }) if request.parent.is_some() => {
            Ok(FetchResult::NotKnown)
        }
        listed => Ok(page(listed?)),
    }
}

/// Requests a page of a second listing. A server without it, or a key that may not read it, is not an error.
async fn second(
    api: &impl PrefectApi,
    pages: &PageReader,
    request: &ListRequest,
) -> Result<FetchResult, prefect::Error> {
    match list(api, pages, request).await {
        Err(prefect::Error::NotFound { .. } | prefect::Error::Forbidden { .. }) => {
            Ok(FetchResult::NotKnown)
        }
        listed => listed,
    }
}

async fn events(
    api: &impl PrefectApi,
    pages: &PageReader,
    request: &EventsRequest,
) -> Result<FetchResult, prefect::Error> {
    let read = |body: String| {
        let page = EventsPage::read(&body)?;
        let more = NextPage {
            next: page.next()?,
            total: page.total,
        };
        Ok((pages.read_events(&page.events)?, more))
    };
    let ListResponse {
        page: (page, more),
        server_time,
    } = api.events(request, read).await?;
    let listed = ListResponse { page, server_time };
    Ok(FetchResult::Page(PageWithGaps::nothing(listed), more))
}

fn page(listed: ListResponse<ParsedPage>) -> FetchResult {
    FetchResult::Page(PageWithGaps::nothing(listed), NextPage::default())
}
